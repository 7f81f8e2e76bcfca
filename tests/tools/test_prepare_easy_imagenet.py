"""The small set that a full-size run learns quickly."""

import importlib.util
import json
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf

TOOL = pathlib.Path(__file__).parents[2] / "tools/prepare_easy_imagenet.py"


@pytest.fixture(scope="module")
def tool() -> types.ModuleType:
    found = importlib.util.spec_from_file_location("prepare_easy_imagenet", TOOL)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def read(data_dir: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours and labels of the images of a split."""
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    }
    files = sorted(map(str, data_dir.glob(f"{split}-*")))
    examples = [tf.io.parse_single_example(record, features) for record in tf.data.TFRecordDataset(files)]
    images = [tf.io.decode_jpeg(example["image/encoded"]).numpy() for example in examples]
    assert {image.shape for image in images} == {(256, 256, 3)}
    return np.array([image.mean((0, 1)) for image in images]), np.array([int(e["image/class/label"]) for e in examples])


def test_makes_the_layout_with_labels_that_a_mean_colour_tells(
    tool: types.ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["--data_dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "64 training and 32 validation images\n"
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert list(counts["train"].items()) == [(f"train-{n:05d}-of-00004", 16) for n in range(4)]
    assert list(counts["validation"].items()) == [(f"validation-{n:05d}-of-00002", 16) for n in range(2)]
    colours, labels = read(tmp_path, "train")
    assert np.bincount(labels).tolist() == [0, 16, 16, 16, 16]
    centres = np.array([colours[labels == label].mean(0) for label in range(1, 5)])
    held_out, wanted = read(tmp_path, "validation")
    distances = np.linalg.norm(held_out[:, None] - centres, axis=2)
    told = distances.argmin(1) + 1 == wanted
    assert np.flatnonzero(~told).size == 4, "one in eight of the evaluation images is of another class"


def test_the_same_seed_makes_the_same_files(tool: types.ModuleType, tmp_path: pathlib.Path) -> None:
    small = ["--train_examples=4", "--eval_examples=4", "--train_shards=1", "--eval_shards=1", "--size=32"]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert tool.main(["--data_dir", str(tmp_path / name), f"--seed={seed}", *small]) == 0
    a, b, c = ((tmp_path / name / "train-00000-of-00001").read_bytes() for name in "abc")
    assert a == b != c


def test_impossible_requests_are_explained(
    tool: types.ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        tool.main(["--data_dir", str(tmp_path / "out"), "--classes=1"])
    assert "--classes must be 2 to 1000" in capsys.readouterr().err
    assert tool.main(["--data_dir", str(tmp_path / "out"), "--train_shards=65"]) == 2
    assert "65 train files were requested and there are 64 examples" in capsys.readouterr().err
