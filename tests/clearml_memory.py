"""What the stand-in for a ClearML server remembers, and how it answers; for tests only."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote

import jwt

_PAGE = 500


class RefusedError(Exception):
    """An answer that is no success: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClearMLMemory:
    """The memory, and the requests that change it.

    Attributes:
        tasks: Task id -> its fields.
        events: Task id -> event id -> event.
        files: Path -> content.
        projects: Name -> id.
        queues: Name -> ids of the tasks that wait in it.
        requests: `service.action`, or `file PATH`, of every request that was answered.
    """

    url: str

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, dict[str, Any]]] = {}
        self.files: dict[str, bytes] = {}
        self.projects: dict[str, str] = {}
        self.queues: dict[str, list[str]] = {"default": []}
        self.requests: list[str] = []
        self._lock = threading.RLock()

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
            raise RefusedError(404, f"the stand-in does not know {name}")
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
            raise RefusedError(400, f"Invalid task id: id={key}")
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
