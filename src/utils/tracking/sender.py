"""Send one offline session to a ClearML server, exactly once however often it breaks off.

What `Task.import_offline_session` of the SDK does, with three differences: every batch is
acknowledged before the next one goes, what is there already is remembered (`upload_state`), and
a failed upload of a file is a failure. The session may still grow while it is sent (`live`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from seglab.utils.tracking.event_stream import BATCH_EVENTS, EventStream, without
from seglab.utils.tracking.faults import ServerError, TaskGoneError
from seglab.utils.tracking.sdk_session import LOG_FILE, METRICS_FILE, Event, SdkSession
from seglab.utils.tracking.server import Server
from seglab.utils.tracking.session_summary import printable
from seglab.utils.tracking.upload_state import UploadState

_DEFAULT_PROJECT = "practicum_segmentation"
#: Fields of `task.json` that make a task what it is. Ids of the session's own are left out.
_FIELDS = (
    "name",
    "type",
    "tags",
    "script",
    "hyperparams",
    "configuration",
    "execution",
    "container",
    "runtime",
    "output_dest",
)
#: Those that are added to a task which an agent runs; the rest is what it was queued with.
_ADDED = ("tags", "hyperparams", "configuration")
#: The SDK's client takes 15 MB at once, and drops what is larger without an error.
_LARGEST_EVENT = 12 << 20


class Sender:
    """Sends one session. After an `UnreachableError`, `pump` may be called again.

    Args:
        session: The session.
        state: What of it is there already.
        server: Where it goes.
        project: The project of a new task; the session's own if not given.
        moved: Is told how many bytes went, again and again.
        tell: Is told what the user should know.
    """

    def __init__(
        self,
        session: SdkSession,
        state: UploadState,
        server: Server,
        project: str | None = None,
        moved: Callable[[int], object] = lambda _: None,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.session = session
        self.state = state
        self._server = server
        self._project = project
        self._moved = moved
        self._tell = tell
        self._found: dict[str, Any] | None = None
        self._streams = [
            EventStream(session, name, state, resends=name == METRICS_FILE)
            for name in (METRICS_FILE, LOG_FILE)
        ]
        #: Whether anything was sent that the server did not have.
        self.has_sent = False

    def pump(self) -> None:
        """Send what is not there yet, as far as the session goes now.

        Raises:
            UnreachableError: The server does not answer; what it acknowledged is remembered.
            ServerError: It refuses, or the task is gone.
        """
        if self._found is None:
            self._found = self._find_or_make_task()
        self._send_fields()
        for stream in self._streams:
            self._send_events(stream)
        if self._send_artifacts():
            self._send_fields()

    def finish(self, status: str, reason: str = "") -> None:
        """Give the task its last status.

        Args:
            status: "completed", "failed" or "stopped".
            reason: Why, for the task's page.
        """
        # An agent sees by itself how its process ends.
        if self.state.status != status and not self.state.adopted:
            self.has_sent = True
            self._server.set_status(self.state.task, status, reason)
            self.state.status = status
            self.state.save()

    # The task.

    def _find_or_make_task(self) -> dict[str, Any]:
        state, server = self.state, self._server
        if state.task:
            if state.server and state.server != server.url:
                raise ServerError(
                    f"{state.path}: this is task {state.task} on {state.server}, and your "
                    f"settings name {server.url}",
                    "use the settings of that server, or start a new task here with --anew",
                )
            found = server.task(state.task)
            if found is None:
                raise TaskGoneError(
                    f"task {state.task} is not on {server.url} any more: it was deleted there",
                    "start a new one with --anew",
                )
        else:
            state.task = self._make_task()
            found = {}
        state.server = server.url
        state.project = state.project or str(found.get("project") or "")
        state.url = server.web_page(state.task, state.project)
        state.save()
        return found

    def _make_task(self) -> str:
        """Make the task, or find the one that an earlier attempt made and could not note."""
        state, server, fields = self.state, self._server, self.session.task
        project = self._project or str(fields.get("project_name") or _DEFAULT_PROJECT)
        state.project = server.project(project)
        if state.server == server.url:
            found = server.find_task(state.marker)
            if found:
                return found
        state.server = server.url
        state.save()  # from here on a task may be there
        self.has_sent = True
        comment = f"{fields.get('comment') or ''}\nseglab session {state.marker}".strip()
        new = {"name": fields["name"], "type": fields.get("type") or "training"}
        return server.create_task({**new, "project": state.project, "comment": comment})

    def _begin(self) -> None:
        """Say, before anything is changed, that the task is under way."""
        self.has_sent = True
        if self.state.status != "in_progress" and not self.state.adopted:
            self._server.set_status(self.state.task, "in_progress")
            self.state.status = "in_progress"
            self.state.save()

    def _send_fields(self) -> None:
        """Send what `task.json` says, with the links to those artifacts that are there."""
        fields = {key: self.session.task[key] for key in _FIELDS if self.session.task.get(key)}
        execution = dict(fields.get("execution") or {})
        execution["artifacts"] = self._artifacts()
        fields["execution"] = execution
        digest = self._digest(fields)
        if digest == self.state.fields:
            return
        self._begin()
        if self.state.adopted:
            fields = self._added_to(self._server.task(self.state.task) or {}, fields)
        self._server.edit_task(self.state.task, fields)
        self.state.fields = digest
        self.state.save()

    def _digest(self, fields: dict[str, Any]) -> str:
        """A digest of fields, without what differs from one writing of a session to the next."""
        listed = fields["execution"]["artifacts"]
        same = [{k: v for k, v in item.items() if k != "timestamp"} for item in listed]
        execution = {**fields["execution"], "artifacts": same}
        text = json.dumps({**fields, "execution": execution}, sort_keys=True)
        return hashlib.sha256(text.replace(self.session.id, "").encode()).hexdigest()

    @staticmethod
    def _added_to(there: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of an agent's task with ours added."""
        merged: dict[str, Any] = {}
        for key in _ADDED:
            old, new = there.get(key), fields.get(key)
            if isinstance(new, list):
                merged[key] = list(dict.fromkeys([*(old or []), *new]))
            elif new is not None:
                merged[key] = {**(old or {}), **new}
        execution = there.get("execution") or {}
        listed = [*(execution.get("artifacts") or []), *fields["execution"]["artifacts"]]
        by_name = {_artifact_name(item): item for item in listed}
        merged["execution"] = {**execution, "artifacts": [*by_name.values()]}
        return merged

    # Artifacts.

    def _artifacts(self) -> list[dict[str, Any]]:
        """The artifacts that are on the server or link to elsewhere."""
        listed = []
        for item in self.session.artifacts():
            link = self.state.artifacts.get(_artifact_name(item))
            if link is not None and link[0] == _artifact_digest(item):
                listed.append({**item, "uri": link[1]})
            elif "://" in (uri := item.get("uri", "")) and self.session.member_of(uri) is None:
                listed.append(item)
        return listed

    def _send_artifacts(self) -> bool:
        """Upload the artifacts that are not there; whether there were any."""
        any_sent = False
        for item in self.session.artifacts():
            member = self.session.member_of(item.get("uri", ""))
            size = self.session.source.size(member) if member else None
            name, digest = _artifact_name(item), _artifact_digest(item)
            if member is None or size is None:
                continue
            if self.state.artifacts.get(name, [""])[0] == digest:
                self._moved(size)
                continue
            self._begin()
            self.state.artifacts[name] = [digest, self._upload(member)]
            self.state.save()
            any_sent = True
        return any_sent

    # Events.

    def _send_events(self, stream: EventStream) -> None:
        """Send the events that are not there, batch by batch."""
        while batch := stream.next_batch():
            self._begin()
            if stream.is_uncertain:
                there = self._server.last_logs(self.state.task, BATCH_EVENTS)
                batch = without(batch, there)
            stream.note_sending()
            ready = [ready for event in batch if (ready := self._ready(event)) is not None]
            for refused in self._server.add_events(ready) if ready else []:
                self._tell(f"the server refused events: {printable(refused)}")
            self._moved(stream.acknowledge())
        self._moved(stream.passed())

    def _ready(self, event: Event) -> Event | None:
        """An event as the server's task has it, its files uploaded; None if it cannot be sent."""
        ready = {**event, "task": self.state.task}
        member = self.session.file_of(event)
        if member is not None:
            if self.session.source.size(member) is None:
                return None
            ready["key"] = self._renamed(event["key"])
            ready["url"] = self._upload(member)
        elif event.get("plot_str") and self.session.id in event["plot_str"]:
            ready["plot_str"] = self._with_images(event["plot_str"])
        if len(json.dumps(ready)) > _LARGEST_EVENT:
            name = printable(f"{event['type']} {event.get('metric')}/{event.get('variant')}")
            self._tell(f"left out, too large for the server: {name}")
            return None
        return ready

    def _with_images(self, text: str) -> str:
        """A plot whose images are files of the session, with links to where they are now."""
        try:
            plot = json.loads(text)
            images = plot["layout"]["images"]
            for image in images:
                member = self.session.member_of(image["source"])
                if member is not None and self.session.source.size(member) is not None:
                    image["source"] = self._upload(member)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return text  # no plot of the SDK's making
        return json.dumps(plot)

    def _upload(self, member: str) -> str:
        """Upload a file of the session; returns the link."""
        target = f"{self._server.files}/{self._renamed(member.removeprefix('data/'))}"
        with self.session.source.local(member) as path:
            return self._server.upload(path, target, self._moved)

    def _renamed(self, path: str) -> str:
        """A path with the id of the server's task in place of the session's."""
        return path.replace(f".{self.session.id}/", f".{self.state.task}/", 1)


def _artifact_name(item: dict[str, Any]) -> str:
    return f"{item.get('key', '')}:{item.get('mode', '')}"


def _artifact_digest(item: dict[str, Any]) -> str:
    return str(item.get("hash") or f"{item.get('content_size')}:{item.get('timestamp')}")
