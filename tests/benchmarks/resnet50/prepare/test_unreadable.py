"""Unreadable images are named, and left out on request."""

import pathlib
import random
from collections.abc import Callable

import pytest
import tensorflow as tf

from tests.benchmarks.resnet50.prepare.tiny_imagenet import contents, encoded, prepare, records, train_files, write
from tfperf.benchmarks.images import jpeg
from tfperf.benchmarks.prepare import shards
from tfperf.errors import DamagedDataError


def spoil(tree: pathlib.Path) -> dict[str, str]:
    """Damages one image in each way; returns what should be said of them."""
    whole = encoded(5)
    folder = tree / "train/n01443537"
    write(folder / "n01443537_0.JPEG", b"")
    write(folder / "n01443537_1.JPEG", whole[:-50])
    write(folder / "n01443537_2.JPEG", b"GIF89a" + bytes(20))
    (folder / "n01443537_3.JPEG").unlink()
    (folder / "n01443537_3.JPEG").symlink_to("nowhere")
    write(tree / "validation/n02105855/ILSVRC2012_val_00000003.JPEG", encoded(6, kind="PNG")[:30])
    return {
        f"{folder}/n01443537_0.JPEG": "neither JPEG nor PNG, begins with b''",
        f"{folder}/n01443537_1.JPEG": "jpeg::Uncompress failed. Invalid JPEG data or crop window.",
        f"{folder}/n01443537_2.JPEG": "neither JPEG nor PNG, begins with b'GIF89a\\x00\\x00'",
        f"{folder}/n01443537_3.JPEG": "No such file or directory",
        f"{tree}/validation/n02105855/ILSVRC2012_val_00000003.JPEG": "Invalid PNG. Failed to initialize decoder.",
    }


def test_every_unreadable_image_is_named_and_nothing_is_called_whole(
    tree: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wanted = spoil(tree)
    with pytest.raises(DamagedDataError, match="unreadable images: 5") as raised:
        prepare(tree, tmp_path / "out")
    lines = (tmp_path / "out/unreadable.txt").read_text().splitlines()
    assert dict(line.split(": ", 1) for line in lines) == wanted
    assert all(line in str(raised.value) for line in lines)
    assert raised.value.exit_code == 1
    assert not (tmp_path / "out/counts.json").exists()


def test_unreadable_images_are_left_out_on_request(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    wanted = spoil(tree)
    with pytest.raises(DamagedDataError):
        prepare(tree, tmp_path / "out")
    prepared = prepare(tree, tmp_path / "out", skip_unreadable=True)
    assert sum(prepared.train.values()) == len(list(records(tmp_path / "out", "train"))) == 8
    assert sum(prepared.validation.values()) == len(list(records(tmp_path / "out", "validation"))) == 5
    assert len(prepared.unreadable) == len((tmp_path / "out/unreadable.txt").read_text().splitlines()) == len(wanted)
    with pytest.raises(DamagedDataError):
        prepare(tree, tmp_path / "out")


def test_a_repaired_image_finishes_the_preparation(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    name = "train/n01443537/n01443537_1.JPEG"
    write(tree / name, b"damaged")
    with pytest.raises(DamagedDataError):
        prepare(tree, tmp_path / "out")
    kept = contents(tmp_path / "out")
    write(tree / name, train_files()["n01443537/n01443537_1.JPEG"])
    prepare(tree, tmp_path / "out")
    prepare(tree, tmp_path / "from_scratch")
    assert len(kept) == 4
    assert kept.items() <= contents(tmp_path / "out").items()
    assert contents(tmp_path / "out") == contents(tmp_path / "from_scratch")
    assert not (tmp_path / "out/unreadable.txt").exists()


def test_each_decoder_verdict_agrees_with_the_full_decode() -> None:
    random_ = random.Random(0)
    whole = encoded(7)
    damaged = [whole[: random_.randrange(2, len(whole))] for _ in range(50)]
    for _ in range(50):
        place = random_.randrange(2, len(whole))
        damaged.append(whole[:place] + random_.randbytes(1) + whole[place + 1 :])
    for content in damaged:
        assert _accepts(jpeg.checked, content) == _accepts(tf.io.decode_jpeg, content)


def _accepts(decode: Callable[[bytes], object], content: bytes) -> bool:
    try:
        decode(content)
    except (shards.UnreadableExampleError, tf.errors.InvalidArgumentError):
        return False
    return True
