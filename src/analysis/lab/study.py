"""What belongs to the study: the configs that state their stage, read without running them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seglab.utils.errors import UserError
from seglab.utils.hypothesis import STAGES, Hypothesis, literal_assignment, stated_hypothesis
from seglab.utils.paths import PROJECT_ROOT

CONFIGS = PROJECT_ROOT / "configs"
#: How a config names weights that segmentation_models_pytorch downloads.
_DOWNLOADED = "smp:"


@dataclass(frozen=True)
class StudyConfig:
    """A config of the study.

    Attributes:
        path: The file.
        hypothesis: What it claims, its stage included.
        pretrained: The weights its encoder starts from, as the config names them; None for random
            ones.
    """

    path: Path
    hypothesis: Hypothesis
    pretrained: str | None

    @property
    def downloaded(self) -> str | None:
        """The encoder whose weights have to be downloaded; None where none have."""
        named = self.pretrained or ""
        return named.removeprefix(_DOWNLOADED) if named.startswith(_DOWNLOADED) else None


def read_study(folder: str | Path = CONFIGS) -> tuple[StudyConfig, ...]:
    """The configs in a folder that state a stage, in the order of the story.

    A config that cannot be read is left out: whoever trains it hears of it.

    Args:
        folder: Of configs; one that is not there has none.
    """
    found = []
    for path in sorted(Path(folder).glob("*.py")):
        # ValueError: a NUL byte, or no UTF-8; RecursionError: a config that inherits from itself.
        with suppress(UserError, OSError, SyntaxError, ValueError, RecursionError):
            hypothesis = stated_hypothesis(path, path.stem, None)
            if hypothesis.stage is not None:
                found.append(StudyConfig(path, hypothesis, _pretrained(path)))
    places = story_places([config.hypothesis for config in found])
    return tuple(sorted(found, key=lambda config: places[config.hypothesis.id]))


def story_places(hypotheses: Sequence[Hypothesis]) -> dict[str, tuple[int, list[str]]]:
    """What hypotheses are sorted by: stage by stage, children in the order of their parents.

    Args:
        hypotheses: Each with a stage.

    Returns:
        Id -> a key to sort by.
    """
    by_id = {hypothesis.id: hypothesis for hypothesis in hypotheses}

    def line(name: str) -> list[str]:
        """Its ancestors, the oldest first, and itself."""
        found = [name]
        while (parent := by_id[found[0]].parent) in by_id and parent not in found:
            found.insert(0, str(parent))
        return found

    return {name: (STAGES.index(str(h.stage)), line(name)) for name, h in by_id.items()}


def _pretrained(path: Path) -> str | None:
    """`model.pretrained` as the file or what it inherits from says it."""
    try:
        model = literal_assignment(path, "model")
    except UserError:  # it is computed
        model = None
    if isinstance(model, dict) and "pretrained" in model:
        named = model["pretrained"]
        return named if isinstance(named, str) else None
    for base in _bases(path):
        named = _pretrained(base) if base.is_file() else None
        if named is not None:
            return named
    return None


def _bases(path: Path) -> list[Path]:
    """The files that `_base_` names."""
    named = literal_assignment(path, "_base_") or []
    names = [named] if isinstance(named, str) else named
    return [path.parent / name for name in names if isinstance(name, str)]
