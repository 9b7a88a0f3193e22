"""Makes a task and puts it into a queue: `-m seglab.utils.tracking.remote_worker JOB ANSWER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, write_json
from seglab.utils.tracking.settings import without_credentials


def _require_queue(name: str) -> None:
    from clearml.backend_api import Session
    from clearml.backend_api.services import queues

    from seglab.utils.tracking.faults import http_fault

    session = Session()
    host = without_credentials(str(session.host))
    result = session.send(queues.GetAllRequest(only_fields=["name"]))
    if not result.ok():
        raise http_fault(result.meta.result_code, str(result.meta.result_msg), host)
    names = sorted(queue.name for queue in result.response.queues)
    if name not in names:
        there = f"there are: {', '.join(names)}" if names else "there is none"
        raise UserError(
            f"{host} has no such queue ({there})",
            "name one of them, or make it on the page Workers & Queues",
        )


def _enqueue(job: dict[str, Any], answer: Path) -> None:
    """Make the task and enqueue it; ends the process with 0 if that went well."""
    from seglab.utils import clearml_utils

    _require_queue(job["queue"])
    start = job["start"]
    task = clearml_utils.init_clearml_task(
        start["name"], start["project"], start["task_type"], start["tags"]
    )
    task.set_comment(start["comment"])
    clearml_utils.set_script(task, **job["script"])
    url = without_credentials(task.get_output_log_web_page())
    write_json(answer, {"task": task.id, "url": url})
    task.execute_remotely(queue_name=job["queue"])  # does not come back: the SDK ends the process


def main() -> int:
    """Answer in a file: the task and its page, or what went wrong."""
    file, answer = map(Path, sys.argv[1:])
    try:
        _enqueue(read_json(file), answer)
    except Exception as error:  # told to the process that waits
        from clearml.backend_api import Session

        from seglab.utils.tracking.faults import server_fault

        server = without_credentials(str(Session.get_api_server_host()))
        fault = error if isinstance(error, UserError) else server_fault(error, server)
        write_json(answer, {"fault": fault.message, "fix": fault.fix})
    return 1


if __name__ == "__main__":
    sys.exit(main())
