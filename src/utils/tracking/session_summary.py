"""What an offline session holds, and whether it is whole: before anything of it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from seglab.utils.errors import UserError, raise_faults
from seglab.utils.tracking.sdk_session import LOG_FILE, METRICS_FILE, Event, EventReader, SdkSession

_KINDS = {
    "training_stats_scalar": "scalars",
    "plot": "plots",
    "training_debug_image": "images",
    "log": "log lines",
}
_OTHERS = "other events"
_REMAKE = "make the session again, or send what there is with --partial"


@dataclass
class Summary:
    """What a session holds.

    Attributes:
        project: The project it names.
        name: The task's name.
        kind: The task's type.
        tags: The task's tags.
        events: Kind of event -> how many.
        parameters: How many hyper-parameters, in how many sections.
        configurations: Names of the configuration texts.
        artifacts: Artifact -> size in bytes; None for a link to elsewhere.
        images: Image file -> size in bytes.
        bytes: What goes over the network, about.
        faults: What is missing or torn.
        status: The status that the session ended with.
    """

    project: str
    name: str
    kind: str
    tags: list[str]
    parameters: tuple[int, int]
    configurations: list[str]
    status: str
    events: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS.values(), 0))
    artifacts: dict[str, int | None] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    faults: list[str] = field(default_factory=list)

    def counts(self) -> str:
        """How much of everything, in words: `120 scalars, 4 plots, ...`."""
        counts = {**self.events, "artifacts": len(self.artifacts)}
        found = [f"{count} {_one(kind, count)}" for kind, count in counts.items() if count]
        return ", ".join(found) or "nothing"


def _one(kind: str, count: int) -> str:
    return kind.removesuffix("s") if count == 1 else kind


def printable(text: str) -> str:
    """A line of a session's names, with what would steer a terminal written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def summarise(session: SdkSession, partial: bool = False) -> Summary:
    """Read a whole session through.

    Args:
        session: A session that does not grow any more.
        partial: Whether what is missing or torn is only noted.

    Raises:
        UserError: The session is damaged, or not whole and `partial` was not asked for.
    """
    task = session.task
    sections = [s for s in (task.get("hyperparams") or {}).values() if isinstance(s, dict)]
    status = str(task.get("status") or "")
    summary = Summary(
        project=str(task.get("project_name") or ""),
        name=str(task["name"]),
        kind=str(task.get("type") or "training"),
        tags=[str(tag) for tag in task.get("tags") or []],
        parameters=(sum(map(len, sections)), len(sections)),
        configurations=[str(name) for name in task.get("configuration") or {}],
        status=status if status in {"completed", "failed", "stopped"} else "",
    )
    _add_artifacts(summary, session)
    for name in (METRICS_FILE, LOG_FILE):
        summary.bytes += session.source.size(name) or 0
        _add_events(summary, session, name)
    if not partial:
        faults = [printable(fault) for fault in summary.faults]
        raise_faults(f"{session.path} is not whole", faults, _REMAKE)
    return summary


def _add_artifacts(summary: Summary, session: SdkSession) -> None:
    for item in session.artifacts():
        name, link = str(item.get("key")), item.get("uri", "")
        member = session.member_of(link)
        size = session.source.size(member) if member else None
        summary.artifacts[name] = size
        summary.bytes += size or 0
        if size is None and (member is not None or "://" not in link):
            summary.faults.append(f"the file of the artifact {name} is missing")


def _add_events(summary: Summary, session: SdkSession, name: str) -> None:
    reader = EventReader(session, name)
    try:
        for event in reader.read_new():
            kind = _KINDS.get(event["type"], _OTHERS)
            summary.events[kind] = summary.events.get(kind, 0) + 1
            _add_image(summary, session, event)
    finally:
        reader.close()
    if reader.torn:
        summary.faults.append(f"{name} breaks off in the middle of line {reader.line + 1}")


def _add_image(summary: Summary, session: SdkSession, event: Event) -> None:
    member = session.file_of(event)
    if member is None or member in summary.images:
        return
    size = session.source.size(member)
    if size is None:
        summary.faults.append(f"the image {member} is missing")
    summary.images[member] = size or 0
    summary.bytes += size or 0


def require_metrics(summary: Summary, where: object) -> None:
    """Refuse a session in which nothing was recorded.

    Raises:
        UserError: It holds no scalar, plot or image.
    """
    if not any(summary.events[kind] for kind in ("scalars", "plots", "images")):
        raise UserError(f"{where} holds no metrics: nothing was recorded", "name another run")
