"""The data set of drawn scenes on disk."""

from __future__ import annotations

import io
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tfperf import errors
from tfperf.benchmarks.shapes import builder, draw, outlines
from tfperf.benchmarks.shapes.source import Shapes

SIZES = Shapes(train_examples=192, eval_examples=80)
HOME = pathlib.Path("tfperf_shapes", "192-80", "1.0.0")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("shapes")
    builder.prepared_builder(directory, SIZES)
    return directory


def _child(code: str, data_dir: pathlib.Path) -> subprocess.Popen[bytes]:
    """A process that runs `code`, in which `prepare()` generates into `data_dir`."""
    prelude = f"""\
import pathlib, resource
from tfperf import errors
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.benchmarks.shapes import builder
def prepare():
    return builder.prepared_builder(pathlib.Path({str(data_dir)!r}), {SIZES!r})
"""
    return subprocess.Popen([sys.executable, "-c", prelude + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _wait_for(pattern: str, data_dir: pathlib.Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until a file appears while the process generates."""
    while not any(data_dir.glob(f"tfperf_shapes/192-80/{pattern}")):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.001)


def test_all_scenes_come_back_as_they_were_drawn(data_dir: pathlib.Path) -> None:
    dataset = builder.prepared_builder(data_dir, SIZES).as_dataset(
        split="validation", decoders={"image": tfds.decode.SkipDecoding()}
    )
    read = {int(example["image/id"]): example for example in tfds.as_numpy(dataset)}

    assert sorted(read) == list(range(80))
    for index, example in read.items():
        drawn = draw.example("validation", index)
        assert example["image"] == drawn.jpeg
        assert example["image/filename"] == f"validation-{index:08d}.jpg".encode()
        assert outlines.KINDS[example["label"]] == drawn.label
        assert [outlines.KINDS[label] for label in example["objects"]["label"]] == [s.kind for s in drawn.shapes]
        np.testing.assert_allclose(example["objects"]["bbox"], [s.box for s in drawn.shapes], rtol=1e-6)
        assert example["caption"].decode() == drawn.caption
        assert [answer.decode() for answer in example["questions"]["answer"]] == [q.answer for q in drawn.questions]
        assert example["questions"]["answer_start"].tolist() == [q.answer_start for q in drawn.questions]


def test_images_and_labels_come_decoded(data_dir: pathlib.Path) -> None:
    dataset = builder.prepared_builder(data_dir, SIZES).as_dataset(split="train", as_supervised=True)
    image, label = next(iter(tfds.as_numpy(dataset)))

    assert image.shape == (96, 96, 3)
    assert label in range(8)
    assert len(dataset) == 192


def test_training_and_evaluation_share_no_scene(data_dir: pathlib.Path) -> None:
    ready = builder.prepared_builder(data_dir, SIZES)
    train, evaluation = (
        {example["image"].tobytes() for example in tfds.as_numpy(ready.as_dataset(split=split))}
        for split in ("train", "validation")
    )

    assert (len(train), len(evaluation), len(train & evaluation)) == (192, 80, 0)


def test_each_pair_of_sizes_has_a_directory_of_its_own(data_dir: pathlib.Path) -> None:
    smaller = builder.prepared_builder(data_dir, Shapes(train_examples=3, eval_examples=1))

    assert smaller.info.splits["train"].num_examples == 3
    assert builder.prepared_builder(data_dir, SIZES).info.splits["train"].num_examples == 192


def test_tfds_alone_reads_it(data_dir: pathlib.Path) -> None:
    assert tfds.builder_from_directory(data_dir / HOME).info.features["label"].names == list(outlines.KINDS)


def test_opening_writes_nothing(data_dir: pathlib.Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")}
    builder.prepared_builder(data_dir, SIZES)

    assert {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")} == before


@pytest.mark.slow
def test_a_killed_generation_leaves_no_data_set_and_no_process(tmp_path: pathlib.Path) -> None:
    child = _child("prepare()", tmp_path)
    _wait_for("incomplete.*/*train*", tmp_path, child)
    child.send_signal(signal.SIGKILL)
    child.communicate()  # Ends only when the processes that draw, which write to the same stderr, have ended too.
    (leftover,) = tmp_path.glob("tfperf_shapes/192-80/incomplete.*")
    assert not (tmp_path / HOME).exists()

    ready = builder.prepared_builder(tmp_path, SIZES)

    assert {name: split.num_examples for name, split in ready.info.splits.items()} == {"train": 192, "validation": 80}
    assert not leftover.exists()


@pytest.mark.slow
def test_two_processes_at_once_both_get_the_same_data_set(tmp_path: pathlib.Path) -> None:
    child = _child("print(prepare().info.splits.total_num_examples)", tmp_path)
    _wait_for("incomplete.*", tmp_path, child)
    mine = builder.prepared_builder(tmp_path, SIZES)
    output, _ = child.communicate()

    assert (child.returncode, output) == (0, b"272\n")
    assert mine.info.splits.total_num_examples == 272
    assert sorted(path.name for path in (tmp_path / HOME).parent.iterdir()) == ["1.0.0", "lock"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: pathlib.Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")

    with pytest.raises(errors.UsageError, match=rf"could not be written to {occupied}: .*--data_dir"):
        builder.prepared_builder(occupied, SIZES)


def test_a_full_disk_ends_in_a_message_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    """A limit on the size of files stands for the full disk: writes fail in the same places."""
    child = _child(
        """\
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    prepare()
except errors.UsageError as error:
    print(error)
""",
        tmp_path,
    )
    output, messages = child.communicate()

    assert f"could not be written to {tmp_path}" in output.decode(), messages.decode()
    assert [path.name for path in (tmp_path / HOME).parent.iterdir()] == ["lock"]


def _remove(path: pathlib.Path) -> None:
    path.unlink()


def _cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [_remove, _cut])
@pytest.mark.parametrize("pattern", ["*train.tfrecord-00003*", "dataset_info.json"])
def test_a_damaged_data_set_is_not_taken_for_whole(
    tmp_path: pathlib.Path, pattern: str, damage: Callable[[pathlib.Path], None]
) -> None:
    small = Shapes(train_examples=16, eval_examples=16)
    builder.prepared_builder(tmp_path, small)
    home = tmp_path / "tfperf_shapes" / "16-16" / "1.0.0"
    (path,) = home.glob(pattern)
    damage(path)

    with pytest.raises(errors.DamagedDataError, match=f"in {home} is incomplete.*Delete that directory"):
        builder.prepared_builder(tmp_path, small)


def test_the_processes_that_draw_do_not_import_tensorflow() -> None:
    code = "import sys, tfperf.benchmarks.shapes.__main__; print({'tensorflow', 'absl', 'keras'} & set(sys.modules))"

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_an_image_is_not_encoded_twice(data_dir: pathlib.Path) -> None:
    dataset = builder.prepared_builder(data_dir, SIZES).as_dataset(split="validation")
    example = next(iter(tfds.as_numpy(dataset)))
    drawn = np.asarray(Image.open(io.BytesIO(draw.example("validation", int(example["image/id"])).jpeg)))

    assert np.abs(example["image"].astype(int) - drawn).max() <= 4  # Two JPEG decoders round differently.


def test_says_that_it_draws_and_not_that_it_downloads(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.prepared_builder(tmp_path, Shapes(train_examples=2, eval_examples=2))
    home = tmp_path / "tfperf_shapes" / "2-2" / "1.0.0"
    assert capsys.readouterr() == ("", f"drawing 4 scenes into {home}, once\n")
    builder.prepared_builder(tmp_path, Shapes(train_examples=2, eval_examples=2))
    assert capsys.readouterr() == ("", "")
