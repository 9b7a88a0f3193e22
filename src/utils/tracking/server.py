"""A ClearML server, through the SDK's own API client and storage, with every wait bounded.

No call hangs: each runs in a thread that is given up after a while. The SDK itself waits without
end for names, certificates and maintenance, whatever its settings say.

Importing this module imports the SDK: only processes that send do so, in the environment that
`settings.child_environment` makes.
"""

from __future__ import annotations

import io
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from clearml.backend_api import Session
from clearml.backend_api.services import events as event_requests
from clearml.backend_api.services import projects, tasks
from clearml.backend_api.session import session as _session_module
from clearml.backend_interface.base import InterfaceBase
from clearml.storage import callbacks as _storage_callbacks
from clearml.storage.helper import StorageHelper

from seglab.utils.tracking.faults import (
    AGAIN,
    ServerError,
    TaskGoneError,
    UnreachableError,
    http_fault,
    server_fault,
)
from seglab.utils.tracking.settings import without_credentials

_T = TypeVar("_T")
_TICK = 0.1
_SLOWEST = 30_000  # bytes a second: a slower line is taken for a broken one
_STATUS_REQUESTS = {
    "completed": "CompletedRequest",
    "failed": "FailedRequest",
    "stopped": "StoppedRequest",
    "in_progress": "StartedRequest",
}


class _Never(Exception):  # noqa: N818 - nobody raises it
    """Raised by nobody."""


# The SDK repeats a request for ever when a certificate is refused; without a class to catch, the
# refusal comes out.
_session_module.SSLError = _Never


@dataclass(frozen=True)
class Limits:
    """How long, in seconds, a server may leave us waiting.

    Attributes:
        request: For the answer to a request.
        stall: For a file's next bytes, and for the answer after its last.
    """

    request: float = 20.0
    stall: float = 60.0


class Deadline:
    """When everything has to be over. Another thread may set it; then waits end by it."""

    def __init__(self) -> None:
        self._at = math.inf

    def within(self, seconds: float) -> None:
        """Be over within so many seconds, or earlier if that was said before."""
        self._at = min(self._at, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds that are left; infinite if nobody has set an end."""
        return self._at - time.monotonic()


def api_address() -> str:
    """The address of the API that the settings name, without a password in it."""
    return without_credentials(str(Session.get_api_server_host()))


class _Session(Session):
    """The SDK's session with bounds on each step of a request."""

    _session_initial_timeout = (4.0, 10.0)
    _session_timeout = (5.0, 20.0)
    _write_session_timeout = (20.0, 20.0)


class Server:
    """Logs in, and keeps the connection.

    Args:
        limits: How long each call may take.
        deadline: When all of them have to be over.

    Raises:
        ServerError: The server does not let us in.
        UnreachableError: It does not answer.
    """

    def __init__(self, limits: Limits | None = None, deadline: Deadline | None = None) -> None:
        self._limits = limits or Limits()
        self.deadline = deadline or Deadline()
        self.url = api_address()
        # What goes wrong is raised; the SDK's own lines would come between ours.
        for name in ("clearml.session", "clearml.storage"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # Trying again is the sender's business: it knows what was acknowledged.
        once = {"total": 0, "connect": 0, "read": 0, "redirect": 2, "status": 0}
        self._session = self._bounded(lambda: _Session(http_retries_config=once))
        # The storage takes its authorisation from here.
        InterfaceBase._set_default_session(self._session)
        # There is a progress bar already, if anybody looks.
        _storage_callbacks.tqdm = None
        self._storage: Any = None
        self.files: str = str(Session.get_files_server_host()).rstrip("/")

    def _bounded(
        self,
        call: Callable[[], _T],
        alive: Callable[[], float] | None = None,
        where: str = "",
        more: float = 0.0,
    ) -> _T:
        """What a call returns; it is given up when it takes too long.

        Args:
            call: The call.
            alive: When it last made progress, as `time.monotonic` counts; without it the whole
                call has the time of one request.
            where: Whom it calls; the API if not given.
            more: Seconds that the call may take in addition.
        """
        where = where or self.url
        outcome: list[tuple[bool, Any]] = []
        done = threading.Event()

        def work() -> None:
            try:
                outcome.append((True, call()))
            except BaseException as error:  # handed over to the thread that waits
                outcome.append((False, error))
            done.set()

        began = time.monotonic()
        threading.Thread(target=work, daemon=True, name="clearml-call").start()
        limit = (self._limits.stall if alive else self._limits.request) + more
        while not done.wait(_TICK):
            since = alive() if alive else began
            if time.monotonic() - since > limit or self.deadline.left <= 0:
                raise UnreachableError(f"{where} does not answer", AGAIN)
        good, value = outcome[0]
        if good:
            return value  # type: ignore[no-any-return]
        if isinstance(value, KeyboardInterrupt | SystemExit | MemoryError):
            raise value
        raise server_fault(value, where) from value

    def _ask(self, request: Any, size: int = 0) -> Any:
        """The answer to an API request, of so many bytes."""
        result = self._bounded(lambda: self._session.send(request), more=size / _SLOWEST)
        if not result.ok():
            raise http_fault(result.meta.result_code, str(result.meta.result_msg), self.url)
        return result

    @contextmanager
    def _read(self) -> Iterator[None]:
        """Tell an answer that is no ClearML server's: of a proxy, or of a server that is broken."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            fault = f"{self.url} answers what no ClearML server does"
            raise UnreachableError(fault, AGAIN) from error

    # Tasks.

    def task(self, task: str) -> dict[str, Any] | None:
        """The fields of a task; None if the server has no such task."""
        try:
            answer = self._ask(tasks.GetByIdRequest(task=task))
        except TaskGoneError:
            return None
        with self._read():
            found: dict[str, Any] = answer.response.task.to_dict()
        return found

    def find_task(self, text: str) -> str | None:
        """The id of the task whose description holds a text; None if there is none."""
        pattern = {"pattern": re.escape(text), "fields": ["comment"]}
        request = tasks.GetAllRequest(_any_=pattern, only_fields=["id"], search_hidden=True)
        with self._read():
            found = self._ask(request).response.tasks
            return _id(found[0]) if found else None

    def project(self, name: str) -> str:
        """The id of a project; it is made if there is none of this name."""
        pattern = f"^{re.escape(name)}$"
        with self._read():
            found = self._ask(projects.GetAllRequest(name=pattern, only_fields=["id"])).response
            if found.projects:
                return _id(found.projects[0])
            return _id(self._ask(projects.CreateRequest(name=name, description="")).response)

    def create_task(self, fields: Mapping[str, Any]) -> str:
        """Make a task; returns its id."""
        with _made():
            request = tasks.CreateRequest(**fields)
        with self._read():
            return _id(self._ask(request).response)

    def edit_task(self, task: str, fields: Mapping[str, Any]) -> None:
        """Set fields of a task, in whatever state it is."""
        known = set(tasks.EditRequest._get_data_props())
        used = {key: value for key, value in fields.items() if key in known}
        with _made():
            request = tasks.EditRequest(task=task, force=True, **used)
        self._ask(request)

    def set_status(self, task: str, status: str, reason: str = "") -> None:
        """Set a task's status: "in_progress", "completed", "failed" or "stopped"."""
        request = getattr(tasks, _STATUS_REQUESTS[status])
        self._ask(request(task=task, force=True, status_reason=reason or status))

    def web_page(self, task: str, project: str) -> str:
        """The address of a task's page; empty if the web server's address is not known."""
        try:
            web = without_credentials(str(Session.get_app_server_host())).rstrip("/")
        except ValueError:
            return ""
        return f"{web}/projects/{project or '*'}/experiments/{task}/output/log"

    # Events and files.

    def add_events(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Send a batch of events; when this returns, the server has them.

        Returns:
            What the server says about events that it refused.
        """
        size = sum(200 + len(event.get("plot_str") or event.get("msg") or "") for event in events)
        request = event_requests.AddBatchRequest(requests=list(map(dict, events)))
        with self._read():
            data = self._ask(request, size).response_data
            data["added"]  # what does not say so is no acknowledgement
            info = dict(data.get("errors_info") or {}) if data.get("errors") else {}
            none = ["no reason given"] if data.get("errors") else []
            return [f"{key} (x{count})" for key, count in info.items()] or none

    def last_logs(self, task: str, count: int) -> list[dict[str, Any]]:
        """The newest log events that the server has of a task."""
        request = event_requests.GetTaskLogRequest(
            task=task, batch_size=count, navigate_earlier=True
        )
        with self._read():
            return list(self._ask(request).response_data.get("events") or [])

    def upload(self, path: Path, url: str, moved: Callable[[int], object]) -> str:
        """Upload a file, and make sure that the storage took it.

        Args:
            path: The file.
            url: Where it goes.
            moved: Is told how many bytes were read, again and again.

        Returns:
            The link to it, quoted as a browser needs it.
        """
        where = without_credentials(self.files)
        with _Watched(path, moved) as stream:

            def send() -> str:
                # The SDK keeps one for each thread; one for all keeps its connection.
                self._storage = self._storage or StorageHelper.get(url, retries=1)
                if self._storage is None:
                    fix = "see api.files_server in your clearml.conf, and its credentials"
                    raise ServerError(f"{where} cannot be used as a file server", fix)
                return str(self._storage.upload_from_stream(stream, url, retries=1))

            return self._bounded(send, alive=lambda: stream.last, where=where)


@contextmanager
def _made() -> Iterator[None]:
    """Tell fields of a session that the SDK's client does not take."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fix = "send a session that ClearML's SDK wrote"
        raise ServerError(f"the session's fields are not ClearML's: {error}", fix) from error


def _id(item: Any) -> str:
    """The id that a server gives something; nothing goes on without one."""
    if not isinstance(item.id, str) or not item.id:
        raise ValueError("no id")
    return item.id


class _Watched(io.FileIO):
    """A file that says when it is read."""

    def __init__(self, path: Path, moved: Callable[[int], object]) -> None:
        super().__init__(path, "rb")
        self._moved = moved
        self.last = time.monotonic()

    def read(self, size: int | None = -1) -> bytes:
        """Read, and note it."""
        data = super().read(-1 if size is None else size) or b""
        self.last = time.monotonic()
        self._moved(len(data))
        return data
