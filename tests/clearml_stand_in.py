"""A stand-in for a ClearML server, for tests only: API and file server on 127.0.0.1, in memory.

It answers the requests that the real SDK sends for a session, an upload and a queue, keeps what
it is told as the real server does (one event for each task, iteration, metric, variant and key;
log lines are not deduplicated), and can be told to misbehave. It is no ClearML server.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from clearml_memory import ClearMLMemory, RefusedError

__all__ = ["ACCESS_KEY", "SECRET_KEY", "ClearMLStandIn", "RefusedError"]

ACCESS_KEY = "STANDINACCESSKEY"
SECRET_KEY = "stand-in-secret-key"


class ClearMLStandIn(ClearMLMemory):
    """The server; `start` it, or use it in a `with` block.

    Attributes:
        mode: "serve"; "hang" accepts and never answers; "error" answers 500; "unauthorised" 401
            and "forbidden" 403 to everything but the login.
        die_after: After so many more requests the connection breaks, and the server is gone.
        lose_answer: Whether the request that it dies at is carried out before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mode = "serve"
        self.check_seconds = "60"
        self.die_after: int | None = None
        self.lose_answer = False
        self.port = 0
        self._released = threading.Event()
        self._open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The address of all three: API, files and web pages."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that lead the SDK here, and away from the developer's own settings."""
        return {
            "CLEARML_API_HOST": self.url,
            "CLEARML_WEB_HOST": self.url,
            "CLEARML_FILES_HOST": self.url,
            "CLEARML_API_ACCESS_KEY": ACCESS_KEY,
            "CLEARML_API_SECRET_KEY": SECRET_KEY,
            "CLEARML_CONFIG_FILE": str(home / "clearml.conf"),
            "HOME": str(home),
            "SEGLAB_TRACKING": "",
            # A busy machine may take longer to start a process than a user would wait.
            "SEGLAB_CLEARML_SECONDS": self.check_seconds,
        }

    def __enter__(self) -> ClearMLStandIn:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen: on any free port, later on the same; the memory is kept."""
        self._released.clear()
        handler = type("Handler", (_Handler,), {"stand_in": self})
        for _ in range(50):
            try:
                self._server = _Server(("127.0.0.1", self.port), handler)
                break
            except OSError:  # the old connections are not gone yet
                time.sleep(0.1)
        assert self._server is not None
        self.port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        """Go away: the port is closed, open connections break."""
        server, self._server = self._server, None
        if server is None:
            return
        server.socket.close()
        self._released.set()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        threading.Thread(target=server.shutdown, daemon=True).start()

    def restart(self) -> None:
        """Come back well on the same port, with the memory."""
        self.stop()
        self.mode, self.die_after = "serve", None
        self.start()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be gone for as long as the block lasts."""
        self.stop()
        try:
            yield
        finally:
            self.restart()

    # Misbehaviour.

    def misbehave(self, name: str) -> str:
        """What to do with the next request: "answer", "lose" (carry out, then break), "break"."""
        if self.mode == "hang":
            self._released.wait()
            return "break"
        with self._lock:
            if self.die_after is not None:
                if self.die_after <= 0:
                    return "lose" if self.lose_answer else "break"
                self.die_after -= 1
        if self.mode == "error":
            raise RefusedError(500, "General data error")
        if self.mode == "unauthorised":
            raise RefusedError(401, "Unauthorized (invalid credentials)")
        if self.mode == "forbidden" and name != "auth.login":
            raise RefusedError(403, "Forbidden (user has no write permission)")
        return "answer"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken connection is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes in one piece: in two it would wait for an acknowledgement
    stand_in: ClearMLStandIn

    def setup(self) -> None:
        super().setup()
        with self.stand_in._lock:
            self.stand_in._open.add(self.connection)

    def finish(self) -> None:
        with self.stand_in._lock:
            self.stand_in._open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_file = (self.headers.get("Content-Type") or "").startswith("multipart/")
        name = "file" if is_file else self.path.split("?")[0].rsplit("/", 1)[-1]
        try:
            behaviour = self.stand_in.misbehave(name)
            if behaviour == "break":
                self._break()
                return
            data = self._files(body) if is_file else self._api(name, body)
            if behaviour == "lose":
                self._break()
                return
            self._reply(200, data, "OK")
        except RefusedError as error:
            self._reply(error.status, {}, str(error))
        except Exception as error:  # a mistake in the stand-in shall be seen by the test
            self._reply(500, {}, f"stand-in: {type(error).__name__}: {error}")

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the base class's names

    def _break(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.stand_in.stop()

    def _api(self, name: str, body: bytes) -> dict[str, Any]:
        stand_in = self.stand_in
        if name != "auth.login" and not self.headers.get("Authorization", "").startswith("Bearer"):
            raise RefusedError(401, "Unauthorized (missing credentials)")
        if name == "auth.login" and not self._knows_credentials():
            raise RefusedError(401, "Unauthorized (invalid credentials)")
        if "json-lines" in (self.headers.get("Content-Type") or ""):
            content: Any = [json.loads(line) for line in body.splitlines() if line.strip()]
        else:
            content = json.loads(body) if body else {}
            content.pop("method", None)  # the SDK tells everybody how it asks
        stand_in.requests.append(name)
        return stand_in.answer(name, content)

    def _knows_credentials(self) -> bool:
        import base64

        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind == "Bearer":
            return True
        expected = base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()
        return value == expected

    def _files(self, body: bytes) -> dict[str, Any]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + body)
        parts = []
        for part in message.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            parts.append((name, part.get_payload(decode=True)))
            self.stand_in.requests.append(f"file {name}")
        self.stand_in.add_files(iter(parts))
        return {}

    def _reply(self, status: int, data: dict[str, Any], message: str) -> None:
        meta = {"result_code": status, "result_subcode": 0, "result_msg": message, "id": "x"}
        meta |= {"trx": "x", "endpoint": {"name": "", "requested_version": 1.0}, "error_stack": ""}
        content = json.dumps({"meta": meta, "data": data}).encode()
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()
