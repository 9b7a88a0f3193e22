"""A stand-in for a ClearML server, for tests only: API and file server on 127.0.0.1, in memory.

It answers the requests that the real SDK sends for a session, an upload and a queue, keeps what
it is told as the real server does (one event for each task, iteration, metric, variant and key;
log lines are not deduplicated), and can be told to misbehave. It is no ClearML server.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt

ACCESS_KEY = "STANDINACCESSKEY"
SECRET_KEY = "stand-in-secret-key"
_PAGE = 500


class Refused(Exception):
    """An answer that is no success: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClearMLStandIn:
    """The server; `start` it, or use it in a `with` block.

    Attributes:
        tasks: Task id -> its fields.
        events: Task id -> event id -> event.
        files: Path -> content.
        projects: Name -> id.
        queues: Name -> ids of the tasks that wait in it.
        requests: `service.action`, or `file PATH`, of every request that was answered.
        mode: "serve"; "hang" accepts and never answers; "error" answers 500; "unauthorised" 401
            and "forbidden" 403 to everything but the login.
        die_after: After so many more requests the connection breaks, and the server is gone.
        lose_answer: Whether the request that it dies at is carried out before.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}
        self.projects: dict[str, str] = {}
        self.queues: dict[str, list[str]] = {"default": []}
        self.requests: list[str] = []
        self.mode = "serve"
        self.die_after: int | None = None
        self.lose_answer = False
        self.port = 0
        self._lock = threading.RLock()
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

    # What tests ask about.

    def scalars(self, task: str) -> dict[tuple[str, str, int], float]:
        """(metric, variant, iteration) -> value."""
        return {
            (event["metric"], event["variant"], event["iter"]): event["value"]
            for event in self.events.get(task, {}).values()
            if event["type"] == "training_stats_scalar"
        }

    def of_type(self, task: str, kind: str) -> list[dict[str, Any]]:
        """The events of one type: "plot", "training_debug_image", "log"..."""
        return [e for e in self.events.get(task, {}).values() if e["type"] == kind]

    def file_of(self, url: str) -> bytes:
        """The content behind a link that the server was given, as a browser would fetch it."""
        return self.files[unquote(url.removeprefix(self.url)).lstrip("/")]

    def contents(self) -> dict[str, Any]:
        """Everything but ids and times of arrival, to compare two servers."""
        return {
            task["name"]: {
                "task": {
                    key: value
                    for key, value in task.items()
                    if key not in {"id", "project", "created", "comment", "last_update"}
                },
                "events": sorted(json.dumps(e, sort_keys=True) for e in self.events[key].values()),
            }
            for key, task in self.tasks.items()
        }

    # The requests.

    def answer(self, name: str, content: Any) -> dict[str, Any]:
        """Carry one API request out; returns its data."""
        handler = getattr(self, "_" + name.replace(".", "_"), None)
        if handler is None:
            raise Refused(404, f"the stand-in does not know {name}")
        with self._lock:
            return handler(content)

    def _auth_login(self, _: Any) -> dict[str, Any]:
        claims = {"exp": int(time.time()) + 86400, "api_version": "2.23", "env": "stand-in"}
        claims["server_version"] = "1.15.0"
        return {"token": jwt.encode(claims, "stand-in-of-a-server-secret-of-32", "HS256")}

    def _projects_get_all(self, query: dict[str, Any]) -> dict[str, Any]:
        pattern = query.get("name")
        found = [
            {"id": key, "name": name, "system_tags": []}
            for name, key in self.projects.items()
            if (not pattern or re.search(pattern, name))
            and (not query.get("id") or key in query["id"])
        ]
        return {"projects": found}

    _projects_get_all_ex = _projects_get_all

    def _projects_get_by_id(self, query: dict[str, Any]) -> dict[str, Any]:
        names = {key: name for name, key in self.projects.items()}
        return {"project": {"id": query["project"], "name": names[query["project"]]}}

    def _projects_create(self, query: dict[str, Any]) -> dict[str, Any]:
        return {"id": self.projects.setdefault(query["name"], uuid.uuid4().hex)}

    def _tasks_create(self, fields: dict[str, Any]) -> dict[str, Any]:
        key = uuid.uuid4().hex
        created = datetime.now(timezone.utc).isoformat()
        empty: dict[str, Any] = {"output": {}, "execution": {}, "system_tags": []}
        known = {"id": key, "status": "created", "created": created}
        self.tasks[key] = {**known, **empty, **fields}
        self.events[key] = {}
        return {"id": key}

    def _task(self, key: str) -> dict[str, Any]:
        if key not in self.tasks:
            raise Refused(400, f"Invalid task id: id={key}")
        return self.tasks[key]

    def _tasks_get_by_id(self, query: dict[str, Any]) -> dict[str, Any]:
        return {"task": self._task(query["task"])}

    def _tasks_get_all(self, query: dict[str, Any]) -> dict[str, Any]:
        any_of = query.get("_any_")
        found = []
        for task in self.tasks.values():
            texts = [str(task.get(f, "")) for f in any_of["fields"]] if any_of else []
            if any_of and not any(re.search(any_of["pattern"], text) for text in texts):
                continue
            if query.get("id") and task["id"] not in query["id"]:
                continue
            if query.get("name") and not re.search(query["name"], task["name"]):
                continue
            found.append(task)
        return {"tasks": found}

    _tasks_get_all_ex = _tasks_get_all

    def _tasks_edit(self, fields: dict[str, Any]) -> dict[str, Any]:
        task = self._task(fields["task"])
        changed = {key: v for key, v in fields.items() if key not in {"task", "force"}}
        task.update(changed)
        return {"updated": 1, "fields": changed}

    _tasks_update = _tasks_edit

    def _tasks_set_requirements(self, fields: dict[str, Any]) -> dict[str, Any]:
        task = self._task(fields["task"])
        task.setdefault("script", {})["requirements"] = fields["requirements"]
        return {"updated": 1}

    def _tasks_edit_configuration(self, fields: dict[str, Any]) -> dict[str, Any]:
        configuration = self._task(fields["task"]).setdefault("configuration", {})
        configuration.update({item["name"]: item for item in fields["configuration"]})
        return {"updated": 1}

    def _tasks_edit_hyper_params(self, fields: dict[str, Any]) -> dict[str, Any]:
        sections = self._task(fields["task"]).setdefault("hyperparams", {})
        for item in fields["hyperparams"]:
            sections.setdefault(item["section"], {})[item["name"]] = item
        return {"updated": 1}

    def _status(self, query: dict[str, Any], status: str) -> dict[str, Any]:
        task = self._task(query["task"])
        task["status"] = status
        task["status_reason"] = query.get("status_reason") or ""
        return {"updated": 1, "fields": {"status": status}}

    def _tasks_started(self, query: dict[str, Any]) -> dict[str, Any]:
        return self._status(query, "in_progress")

    def _tasks_completed(self, query: dict[str, Any]) -> dict[str, Any]:
        return self._status(query, "completed")

    def _tasks_failed(self, query: dict[str, Any]) -> dict[str, Any]:
        return self._status(query, "failed")

    def _tasks_stopped(self, query: dict[str, Any]) -> dict[str, Any]:
        return self._status(query, "stopped")

    def _tasks_reset(self, query: dict[str, Any]) -> dict[str, Any]:
        self.events[query["task"]] = {}
        return self._status(query, "created")

    def _tasks_ping(self, query: dict[str, Any]) -> dict[str, Any]:
        self._task(query["task"])
        return {}

    def _tasks_enqueue(self, query: dict[str, Any]) -> dict[str, Any]:
        names = {key: name for name, key in self._queue_ids().items()}
        if query.get("queue_name"):
            self.queues.setdefault(query["queue_name"], [])
        name = query.get("queue_name") or names.get(query.get("queue"), "default")
        self.queues[name].append(query["task"])
        self._status(query, "queued")
        return {"queued": 1, "updated": 1, "fields": {}}

    def _queue_ids(self) -> dict[str, str]:
        return {name: uuid.uuid5(uuid.NAMESPACE_DNS, name).hex for name in self.queues}

    def _queues_get_all(self, query: dict[str, Any]) -> dict[str, Any]:
        pattern = query.get("name")
        return {
            "queues": [
                {"id": key, "name": name}
                for name, key in self._queue_ids().items()
                if not pattern or re.search(pattern, name)
            ]
        }

    _queues_get_all_ex = _queues_get_all

    def _events_add_batch(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        for event in events:
            task = event["task"]
            self._task(task)
            key = uuid.uuid4().hex
            if event["type"] != "log":
                parts = (event.get(k) for k in ("task", "iter", "metric", "variant", "key"))
                key = "|".join(map(str, parts))
            self.events[task][key] = {k: v for k, v in event.items() if k != "method"}
        return {"added": len(events), "errors": 0, "errors_info": {}}

    def _events_add(self, event: dict[str, Any]) -> dict[str, Any]:
        return self._events_add_batch([event.get("event", event)])

    def _events_get_task_log(self, query: dict[str, Any]) -> dict[str, Any]:
        events = self.of_type(query["task"], "log")
        events.sort(key=lambda event: event["timestamp"], reverse=True)
        found = events[: query.get("batch_size", _PAGE)]
        return {"events": found, "returned": len(found), "total": len(events)}

    def add_files(self, parts: Iterator[tuple[str, bytes]]) -> None:
        """Keep uploaded files."""
        with self._lock:
            self.files.update({name.lstrip("/"): content for name, content in parts})

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
            raise Refused(500, "General data error")
        if self.mode == "unauthorised":
            raise Refused(401, "Unauthorized (invalid credentials)")
        if self.mode == "forbidden" and name != "auth.login":
            raise Refused(403, "Forbidden (user has no write permission)")
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
        except Refused as error:
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
            raise Refused(401, "Unauthorized (missing credentials)")
        if name == "auth.login" and not self._knows_credentials():
            raise Refused(401, "Unauthorized (invalid credentials)")
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
