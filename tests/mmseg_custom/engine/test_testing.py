"""Testing a checkpoint: figures, files, and agreement with mmseg's own metric."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmseg.evaluation import IoUMetric
from PIL import Image

from seglab.mmseg_custom.engine.inference import (
    ImageSegmenter,
    label_map,
    load_model,
    predict_batch,
)
from seglab.mmseg_custom.engine.prediction import find_images, predict_images
from seglab.mmseg_custom.engine.provenance import config_sha256
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.testing import TestOptions as Options
from seglab.mmseg_custom.engine.testing import test as run_test
from seglab.mmseg_custom.engine.training import train
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.image_results import load_results

pytestmark = pytest.mark.usefixtures("mmseg_scope")


def test_files_and_figures(tiny_config: Path, checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = Options(checkpoint, "val", out, device="cpu", pictures=2, command=["seglab"])
    result = run_test(load_config(tiny_config), options)
    written = json.loads((out / "test_metrics.json").read_text())
    assert written["images"] == 5 and written["split"] == "val"
    assert written["metrics"]["mDice"] == result.metrics["mDice"]
    assert sorted(written["pictures"]) == sorted(path.name for path in out.glob("*.png"))
    assert len(list(out.glob("val_worst_*.png"))) == 2
    scores = {
        kind: [float(path.stem.rsplit("_", 1)[1]) for path in out.glob(f"val_{kind}_*.png")]
        for kind in ("best", "worst")
    }
    assert min(scores["best"]) >= max(scores["worst"])
    assert max(scores["best"]) > min(scores["worst"])
    # The config is recorded as it was given, not as building the model left it.
    recorded = json.loads((out / "provenance.json").read_text())["config_sha256"]
    assert recorded == config_sha256(load_config(tiny_config))
    # Testing again in the same folder replaces the pictures, and leaves other files alone.
    (out / "mine.png").touch()
    run_test(load_config(tiny_config), Options(checkpoint, "val", out, device="cpu", pictures=1))
    assert len(list(out.glob("val_worst_*.png"))) == 1 and (out / "mine.png").exists()


def test_figures_agree_with_mmsegs_metric(
    tiny_config: Path, checkpoint: Path, tmp_path: Path
) -> None:
    config = load_config(tiny_config)
    ours = run_test(config, Options(checkpoint, "val", tmp_path / "o", device="cpu", pictures=0))
    model = load_model(config, checkpoint, "cpu")
    loader = Runner.build_dataloader(config.val_dataloader)
    theirs = IoUMetric(iou_metrics=["mIoU", "mDice"])
    theirs.dataset_meta = loader.dataset.metainfo
    for index in range(len(loader.dataset)):
        output = predict_batch(model, [loader.dataset[index]])[0]
        theirs.process({}, [output.to_dict()])
    reference = theirs.evaluate(len(loader.dataset))
    for key in ("aAcc", "mIoU", "mAcc", "mDice"):
        assert ours.metrics[key] == pytest.approx(reference[key], abs=0.00501), key


def test_batches_do_not_matter(tiny_config: Path, checkpoint: Path, tmp_path: Path) -> None:
    found = [
        run_test(
            load_config(tiny_config, [f"val_dataloader.batch_size={size}"]),
            Options(checkpoint, "val", tmp_path / str(size), device="cpu", pictures=0),
        ).metrics
        for size in (1, 4)
    ]
    assert found[0].keys() == found[1].keys()
    for key in ("aAcc", "mDice", "image_mean/mDice", "Dice/dog", "mNSD", "ECE"):
        assert found[0][key] == pytest.approx(found[1][key], abs=0.05), key


def test_other_classes_are_refused(tiny_config: Path, checkpoint: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["meta"]["dataset_meta"]["classes"] = ("background", "dog", "cat")
    torch.save(content, checkpoint)
    with pytest.raises(UserError, match="was trained for the classes background, dog, cat"):
        load_model(load_config(tiny_config), checkpoint, "cpu")


def test_other_models_are_refused(tiny_config: Path, checkpoint: Path) -> None:
    config = load_config(tiny_config, ["model.backbone.model_name=test_resnet"])
    with pytest.raises(UserError, match="does not belong to this model"):
        load_model(config, checkpoint, "cpu")
    config = load_config(tiny_config, ["model.decode_head.num_classes=2"])
    with pytest.raises(UserError, match="another number of classes"):
        load_model(config, checkpoint, "cpu")


def test_a_split_the_config_lacks(tiny_config: Path, checkpoint: Path, tmp_path: Path) -> None:
    config = load_config(tiny_config)
    config.test_dataloader = None
    with pytest.raises(UserError, match="has no test_dataloader"):
        run_test(config, Options(checkpoint, "test", tmp_path, device="cpu"))


def test_predictions_of_any_size(tiny_config: Path, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    random = np.random.default_rng(0)
    for name, (width, height) in {"a/x": (100, 37), "b/x": (64, 64), "tall": (33, 130)}.items():
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(path)
    Image.fromarray(random.integers(0, 255, (20, 30), np.uint8)).save(folder / "grey.jpg")
    images = find_images([folder])
    for native in (False, True):
        out = tmp_path / f"out_{native}"
        assert predict_images(load_config(tiny_config), checkpoint, images, out, "cpu", native) == 4
        for path, name in images.items():
            mask = Image.open(out / "masks" / f"{name}.png")
            overlay = Image.open(out / "overlays" / f"{name}.png")
            assert mask.mode == "L" and mask.size == Image.open(path).size == overlay.size
            labels = np.asarray(mask)
            assert set(np.unique(labels)) <= {0, 1, 2}
            # Where there is no object, the overlay is the image.
            source = np.asarray(Image.open(path).convert("RGB"))
            assert np.array_equal(np.asarray(overlay)[labels == 0], source[labels == 0])


def test_images_are_scaled_to_the_size_of_training(
    tiny_config: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (100, 50)).save(tmp_path / "x.png")
    model = load_model(load_config(tiny_config), checkpoint, "cpu")
    sizes = []
    real = model.test_step
    monkeypatch.setattr(
        model, "test_step", lambda data: sizes.append(data["inputs"][0].shape[1:]) or real(data)
    )
    for size in ((64, 64), None):
        ImageSegmenter(model, size)(tmp_path / "x.png")
    assert [tuple(size) for size in sizes] == [(32, 64), (50, 100)]


def test_prediction_equals_the_tests(tiny_config: Path, checkpoint: Path, tiny_data: Path) -> None:
    config = load_config(tiny_config)
    model = load_model(config, checkpoint, "cpu")
    dataset = Runner.build_dataloader(config.val_dataloader).dataset
    by_test = label_map(predict_batch(model, [dataset[0]])[0])
    by_file = ImageSegmenter(model, (64, 64))(dataset.get_data_info(0)["img_path"])
    assert np.array_equal(by_test, by_file)
    assert len(np.unique(by_test)) > 1


def test_existing_masks_are_not_overwritten(
    tiny_config: Path, checkpoint: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    (own / "masks").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(own / "a.jpg")
    Image.new("L", (32, 32), 1).save(own / "masks" / "a.png")
    label = (own / "masks" / "a.png").read_bytes()
    config = load_config(tiny_config)
    images = find_images([own / "a.jpg"])
    with pytest.raises(UserError, match="1 results exist already"):
        predict_images(config, checkpoint, images, own, "cpu")
    assert (own / "masks" / "a.png").read_bytes() == label
    assert predict_images(config, checkpoint, images, own, "cpu", overwrite=True) == 1
    assert own / "masks" / "a.png" not in find_images([tmp_path], output_dir=own / "masks")
    assert own / "a.jpg" in find_images([tmp_path], output_dir=own / "masks")


def test_hair_thin_images(tiny_config: Path, checkpoint: Path, tmp_path: Path) -> None:
    Image.new("RGB", (1000, 1)).save(tmp_path / "thin.png")
    segment = ImageSegmenter(load_model(load_config(tiny_config), checkpoint, "cpu"), (64, 64))
    assert segment(tmp_path / "thin.png").shape == (1, 1000)


def test_results_of_another_checkpoint_are_kept(
    tiny_config: Path, checkpoint: Path, tmp_path: Path
) -> None:
    other = checkpoint.with_name("other.pth")
    other.write_bytes(checkpoint.read_bytes())
    folders = []
    for path in (checkpoint, other, checkpoint):
        options = Options(path, "val", device="cpu", pictures=0)
        folders.append(run_test(load_config(tiny_config), options).output_dir.name)
    assert folders == ["test_val", "test_val_other", "test_val"]


def test_pipelines_without_a_sample_id(tiny_config: Path, checkpoint: Path, tmp_path: Path) -> None:
    config = load_config(tiny_config)
    config.val_dataloader.dataset.pipeline[-1] = dict(type="PackSegInputs")
    options = Options(checkpoint, "val", tmp_path / "out", device="cpu", pictures=1)
    run_test(config, options)
    results = load_results(tmp_path / "out" / "image_results.npz")
    assert results.sample_ids == tuple(f"{index:03d}.jpg" for index in range(5))


def binary_copy(source: Path, target: Path) -> None:
    """The tiny data with both animals as class 1."""
    for kind in ("img", "labels"):
        for path in (source / kind).rglob("*.*"):
            out = target / kind / path.parent.name / path.name
            out.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(Image.open(path))
            Image.fromarray(np.minimum(pixels, 1) if kind == "labels" else pixels).save(out)


def test_one_logit_models(tiny_config: Path, tiny_data: Path, tmp_path: Path) -> None:
    binary_copy(tiny_data, tmp_path / "binary")
    overrides = [
        "model.decode_head.num_classes=2",
        "+model.decode_head.out_channels=1",
        "+model.decode_head.threshold=0.5",
    ]
    config = load_config(tiny_config, overrides, tmp_path / "binary")
    for split in ("train", "val", "test"):
        config[f"{split}_dataloader"].dataset.metainfo = dict(
            classes=("background", "animal"), palette=[[0, 0, 0], [9, 9, 9]]
        )
    options = TrainOptions(work_dir=tmp_path / "run", device="cpu")
    work_dir = choose_work_dir(config, options)
    apply_options(config, options, work_dir)
    trained = train(config, options, work_dir)
    assert trained.best_checkpoint is not None
    tested = run_test(config, Options(trained.best_checkpoint, "val", tmp_path / "o", device="cpu"))
    assert tested.metrics["Dice/animal"] == pytest.approx(trained.best["val/Dice/animal"], abs=0.1)


def test_bad_images_are_all_reported_before_any_work(
    tiny_config: Path, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (32, 32)).save(folder / "good.jpg")
    (folder / "torn.jpg").write_bytes((folder / "good.jpg").read_bytes()[:300])
    (folder / "text.png").write_text("no image")
    with pytest.raises(UserError, match="2 of 3 images cannot be read") as caught:
        predict_images(
            load_config(tiny_config), checkpoint, find_images([folder]), tmp_path / "out", "cpu"
        )
    assert "torn.jpg" in str(caught.value) and "text.png" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="input not found: .*nowhere"):
        find_images([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="no images in"):
        find_images([tmp_path])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").touch()
    with pytest.raises(UserError, match="would write the same mask"):
        find_images([tmp_path / "a", tmp_path / "b"])
