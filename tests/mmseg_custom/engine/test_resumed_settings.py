"""A run that is resumed with other settings, data or steps than it began with."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from resuming import make_starts_quick, run
from yapf.yapflib import yapf_api

from seglab.mmseg_custom.engine.history import read_history
from seglab.utils.errors import UserError
from seglab.utils.resume_files import remove, write_checked


@pytest.fixture(scope="module")
def stopped(
    tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str
) -> Iterator[tuple[Path, Path]]:
    """A config, and a run of it that was killed after the validation of its second epoch.

    The state of that epoch is lost: the history knows more than the state that is left.
    """
    folder = tmp_path_factory.mktemp("resumed")
    config = folder / "tiny.py"
    config.write_text(tiny_config_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, "FormatCode", yapf_api.FormatCode)
        make_starts_quick()
        run(config, folder / "stopped")
        remove(folder / "stopped" / "epoch_2.pth")
        yield config, folder / "stopped"


@pytest.fixture
def copy(stopped: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """The config, and a copy of that run."""
    shutil.copytree(stopped[1], tmp_path / "run")
    return stopped[0], tmp_path / "run"


def what_it_says(folder: Path) -> dict[str, bytes]:
    names = ("config.py", "config.json", "run.json", "history.jsonl", "epoch_1.pth")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # The state would bring the old rate back, and the config would tell the new one.
        ("optim_wrapper.optimizer.lr=1e-5", r"optimizer\.lr: 0\.01 -> 1e-05"),
        ("param_scheduler.0.power=3.0", r"param_scheduler\[WarmupDecayLR\]\.power: 0\.9 -> 3\.0"),
        # Place and schedule count steps.
        ("train_dataloader.batch_size=2", r"had 3 steps in an epoch, now it would have 6"),
    ],
)
def test_what_a_state_cannot_take_is_refused(
    copy: tuple[Path, Path], change: str, message: str
) -> None:
    config, folder = copy
    before = what_it_says(folder)
    with pytest.raises(UserError, match=message) as caught:
        run(config, folder, [change], resume=True)
    assert "load_from=" in caught.value.fix
    assert what_it_says(folder) == before


def test_a_state_of_another_run_is_refused(copy: tuple[Path, Path]) -> None:
    config, folder = copy
    state = torch.load(folder / "epoch_1.pth", weights_only=False)
    state["meta"]["seed"] = 7
    write_checked(folder / "epoch_2.pth", state)
    before = what_it_says(folder)
    with pytest.raises(UserError, match=r"epoch_2\.pth is of a run with seed 7; this one has"):
        run(config, folder, resume=True)
    assert what_it_says(folder) == before


def test_other_changes_are_told_and_noted(
    copy: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = copy
    run(config, folder, ["model.decode_head.dropout_ratio=0.5"], resume=True)
    line = "model.decode_head.dropout_ratio: 0.1 -> 0.5"
    assert f"did not begin with:\n  {line}\n" in capsys.readouterr().out
    sessions = json.loads((folder / "run.json").read_text())["sessions"]
    assert [session.get("changed_settings") for session in sessions] == [None, [line]]
    assert json.loads((folder / "config.json").read_text())["model"]["decode_head"][
        "dropout_ratio"
    ] == pytest.approx(0.5)


def test_without_changes_nothing_is_told(
    copy: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy[1]
    run(folder / "config.json", folder, resume=True)
    assert "did not begin with" not in capsys.readouterr().out
    assert "changed_settings" not in (folder / "run.json").read_text()


def test_refused_for_its_data_a_run_keeps_its_history(copy: tuple[Path, Path]) -> None:
    config, folder = copy
    record = json.loads((folder / "run.json").read_text())
    record["data"]["train"]["images_sha256"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(record))
    before = what_it_says(folder)
    with pytest.raises(UserError, match="train images or labels are not those"):
        run(config, folder, resume=True)
    assert what_it_says(folder) == before


def test_a_damaged_history_is_written_again_from_the_state(copy: tuple[Path, Path]) -> None:
    config, folder = copy
    expected = [record["epoch"] for record in read_history(folder)]
    (folder / "history.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(UserError, match=r"history\.jsonl, line 2: not a JSON object"):
        read_history(folder)
    run(config, folder, resume=True)
    assert [record["epoch"] for record in read_history(folder)] == expected == [1, 2]
