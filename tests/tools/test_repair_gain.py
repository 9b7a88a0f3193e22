"""`seglab repair-gain` from two mask folders to the sentence, really trained on tiny images."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.mmseg_custom.engine.hooks import HistoryHook
from seglab.tools import repair_gain, train
from seglab.tools.gain import runs as gain_runs
from seglab.utils.config_diff import effective_difference
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.io_utils import to_plain


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """The tiny images with `labels` and, of three masks another, `labels_fixed`."""
    root = tmp_path / "data"
    shutil.copytree(tiny_data, root)
    shutil.copytree(root / "labels/train", root / "labels_fixed/train")
    for name in ("000", "001", "005"):
        path = root / f"labels_fixed/train/{name}.png"
        mask = np.asarray(Image.open(path)).copy()
        mask[:10, :10] = 2 if mask[0, 0] != 2 else 0
        Image.fromarray(mask).save(path)
    return root


@pytest.fixture
def command(data: Path, tiny_config: Path, tmp_path: Path) -> list[str]:
    words = ["--config", str(tiny_config), "--data-root", str(data), "--device", "cpu"]
    words += ["--masks", "labels_fixed", "--output-dir", str(tmp_path / "out")]
    return words


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[Path]]]:
    """The folders of what is really trained and tested."""
    done: dict[str, list[Path]] = {"train": [], "test": []}
    real_train, real_test = gain_runs.train, gain_runs.test

    def counting_train(config: object, options: object, folder: Path, *rest: object) -> object:
        done["train"].append(folder)
        return real_train(config, options, folder, *rest)

    def counting_test(config: object, options: object) -> object:
        done["test"].append(options.output_dir.parent)
        return real_test(config, replace(options, pictures=0))  # drawing takes the longest

    monkeypatch.setattr(gain_runs, "train", counting_train)
    monkeypatch.setattr(gain_runs, "test", counting_test)
    yield done


def mdice(folder: Path) -> float:
    return json.loads((folder / "test_val/test_metrics.json").read_text())["metrics"]["mDice"]


def test_from_two_mask_folders_to_the_sentence(
    command: list[str],
    data: Path,
    tmp_path: Path,
    counted: dict[str, list[Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    # Weighed like this even so short a training finds animals: the runs have to differ.
    command += ["--cfg-options", "+model.decode_head.loss_decode.class_weight=[0.05,1,1]"]
    command += ["train_cfg.max_epochs=1", "train_dataloader.batch_size=2"]
    command += ["optim_wrapper.optimizer.lr=0.03"]
    assert repair_gain.main(command) == 0
    order = [out / name / f"seed_{seed}" for seed in (0, 1) for name in SIDES]
    assert counted == {"train": order, "test": order}
    printed = capsys.readouterr().out
    assert "3 of 12 train masks differ between labels and labels_fixed" in printed

    found = json.loads((out / "repair_gain.json").read_text())
    masks = found["train_masks"]
    assert masks["changed_images"] == ["000.jpg", "001.jpg", "005.jpg"]
    assert (masks["masks"], masks["pixels"]) == (12, 12 * 64 * 64)
    assert masks["changed_pixels"] == changed_pixels(data)
    assert [change["key"] for change in found["config_changes"]] == [
        "train_dataloader.dataset.mask_dir"
    ]
    differences = [mdice(order[n + 1]) - mdice(order[n]) for n in (0, 2)]
    assert all(differences), "nothing would be tested by zeros"
    assert [item["mDice"]["value"] for item in found["per_seed"]] == pytest.approx(differences)
    assert found["mDice"]["value"] == pytest.approx(np.mean(differences))
    assert found["seeds"] == [0, 1]
    last = printed.rstrip().splitlines()[-1]
    assert last == found["sentence"]
    assert last.startswith("val mDice changed by ") and "2 seeds and 5 images" in last
    for name in ("comparison.json", "comparison.md", "comparison.png"):
        assert (out / name).is_file()

    for side in SIDES:  # what was trained is what the written file says, by itself
        written = load_config(out / f"{side}.py")
        stored = json.loads((out / side / "seed_1/config.json").read_text())
        keys = {item.key for item in effective_difference(to_plain(written.to_dict()), stored)}
        assert keys <= {"pretrained_backbone", "from_scratch"} | APPLIED
    records = [json.loads((folder / "run.json").read_text())["data"] for folder in order[:2]]
    assert records[0]["val"] == records[1]["val"]
    assert records[0]["train"]["images_sha256"] == records[1]["train"]["images_sha256"]
    assert records[0]["train"]["labels_sha256"] != records[1]["train"]["labels_sha256"]

    # Once more: nothing is trained again; a missing test and one of other weights are made again.
    shutil.rmtree(order[3] / "test_val")
    provenance = order[0] / "test_val/provenance.json"
    content = json.loads(provenance.read_text())
    provenance.write_text(json.dumps({**content, "checkpoint_sha256": "f" * 64}))
    before = (out / "repair_gain.json").read_bytes()
    assert repair_gain.main(command) == 0
    assert counted == {"train": order, "test": [*order, order[0], order[3]]}
    assert (out / "repair_gain.json").read_bytes() == before


SIDES = ("tiny", "tiny+labels_fixed")
#: What `apply_options` completes in every run's config.
APPLIED = {"default_hooks.checkpoint", "custom_hooks", "default_hooks.checkpoint.rule"}
APPLIED |= {"default_hooks.checkpoint.save_best"}


def changed_pixels(root: Path) -> int:
    count = 0
    for path in (root / "labels/train").iterdir():
        old, new = Image.open(path), Image.open(root / "labels_fixed/train" / path.name)
        count += sum(a != b for a, b in zip(old.tobytes(), new.tobytes(), strict=True))
    return count


def test_an_interrupted_command_goes_on(
    command: list[str],
    tmp_path: Path,
    counted: dict[str, list[Path]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [*command, "--seeds", "3"]
    old, new = (tmp_path / "out" / name / "seed_3" for name in SIDES)
    real = HistoryHook.before_train_epoch

    def stop(epoch: int) -> Callable[..., None]:
        def before_train_epoch(hook: HistoryHook, runner: object) -> None:
            if runner.epoch == epoch and "fixed" in runner.work_dir:
                raise KeyboardInterrupt
            real(hook, runner)

        return before_train_epoch

    monkeypatch.setattr(HistoryHook, "before_train_epoch", stop(0))
    assert repair_gain.main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(HistoryHook, "before_train_epoch", stop(1))
    assert repair_gain.main(command) == 130
    assert "before its first epoch was done" in capsys.readouterr().out
    assert json.loads((new / "run.json").read_text())["status"] == "interrupted"
    monkeypatch.setattr(HistoryHook, "before_train_epoch", real)
    assert repair_gain.main(command) == 0
    assert "tiny+labels_fixed, seed 3: to be resumed" in capsys.readouterr().out
    assert counted == {"train": [old, new, new, new], "test": [old, new]}
    record = json.loads((new / "run.json").read_text())
    assert (record["status"], record["epochs"], len(record["sessions"])) == ("finished", 2, 2)


def test_runs_trained_beforehand_are_taken_and_others_refused(
    command: list[str],
    data: Path,
    tiny_config: Path,
    tmp_path: Path,
    counted: dict[str, list[Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    short = [*command, "--seeds", "0", "--cfg-options", "train_cfg.max_epochs=1"]
    assert repair_gain.main([*short, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "train.py --config" in printed and "--seed 0 --device cpu" in printed
    assert counted["train"] == []
    words = ["--work-dir", str(out / "tiny/seed_0"), "--seed", "0", "--device", "cpu"]
    given = ["--config", str(tiny_config), "--data-root", str(data)]
    assert train.main([*given, "--cfg-options", "train_cfg.max_epochs=1", *words]) == 0
    words[1] = str(out / "tiny+labels_fixed/seed_0")
    assert train.main(["--config", str(out / "tiny+labels_fixed.py"), *words]) == 0
    assert repair_gain.main(short) == 0
    assert counted["train"] == []
    assert len(counted["test"]) == 2

    Image.new("L", (64, 64)).save(data / "labels_fixed/train/007.png")
    with pytest.raises(UserError) as caught:
        repair_gain.main([*command, "--seeds", "0"])
    message = str(caught.value)
    assert message.count("train_cfg.max_epochs: 1 -> 2") == 2, "both runs are named"
    assert message.count("other train labels") == 1
    assert "another --output-dir" in message


def test_a_mask_folder_outside_of_the_data_root_works(
    command: list[str], data: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere/repaired"
    shutil.move(data / "labels_fixed", outside)
    command[command.index("labels_fixed")] = str(outside)
    assert repair_gain.main([*command, "--dry-run"]) == 0
    written = load_config(tmp_path / "out/tiny+repaired.py")
    assert written.train_dataloader.dataset.mask_dir == str(outside)
    assert written.hypothesis["parent"] == "tiny"


def spoil_same(root: Path) -> None:
    shutil.rmtree(root / "labels_fixed")
    shutil.copytree(root / "labels", root / "labels_fixed")


def spoil_unfinished(root: Path) -> None:
    (root / "labels_fixed/work/records").mkdir(parents=True)


def spoil_files(root: Path) -> None:
    folder = root / "labels_fixed/train"
    (folder / "002.png").unlink()
    Image.new("L", (32, 64)).save(folder / "003.png")
    Image.new("L", (64, 64), 7).save(folder / "004.png")
    Image.new("P", (64, 64)).save(folder / "006.png")
    (folder / "007.png").write_bytes((folder / "007.png").read_bytes()[:60])


@pytest.mark.parametrize(
    ("spoil", "change", "words"),
    [
        (None, {"labels_fixed": "labels_none"}, ["labels_none: there is no such folder"]),
        (None, {"labels_fixed": "labels_fixed/train"}, ["give the folder above"]),
        (None, {"labels_fixed": "labels"}, ["trains on these masks already"]),
        (spoil_same, {}, ["nothing to compare", "12 train masks"]),
        (spoil_unfinished, {}, ["was stopped before it was done"]),
        (
            spoil_files,
            {},
            ["002.jpg", "003.jpg", "004.png (value 7)", "006.png (mode P)", "007.png"],
        ),
    ],
)
def test_bad_masks_are_refused_before_any_compute(
    spoil: Callable[[Path], None] | None,
    change: dict[str, str],
    words: list[str],
    command: list[str],
    data: Path,
    tmp_path: Path,
    counted: dict[str, list[Path]],
) -> None:
    if spoil:
        spoil(data)
    with pytest.raises(UserError) as caught:
        repair_gain.main([change.get(word, word) for word in command])
    assert [word for word in words if word not in str(caught.value)] == []
    assert counted["train"] == []
    assert not list((tmp_path / "out").rglob("*.py"))


def test_bad_options_are_refused(command: list[str]) -> None:
    with pytest.raises(UserError, match="negative"):
        repair_gain.main([*command, "--seeds", "0", "-1"])
    options = ["--cfg-options", "+val_dataloader.dataset.mask_dir=labels_fixed"]
    with pytest.raises(UserError, match="the val labels come from labels_fixed as well"):
        repair_gain.main([*command, *options])
    options = ["--cfg-options", "train_dataloader.dataset.type=ConcatDataset"]
    with pytest.raises(UserError, match="one MaskFolderDataset"):
        repair_gain.main([*command, *options])
