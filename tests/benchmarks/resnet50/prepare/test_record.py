"""Images keep their bytes, or become RGB JPEGs, and keep their names."""

import io
import os
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.benchmarks.resnet50.prepare.tiny_imagenet import CLASSES, encoded, prepare, records, write
from tfperf.benchmarks.prepare import unreadable as unreadable_list


def test_names_that_are_not_unicode_are_written_as_they_are(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = os.fsencode(tree / "train" / CLASSES[0])
    for name in (b"odd\xff\xfe.JPEG", b"broken\xff.JPEG"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(encoded(3) if name.startswith(b"odd") else b"no picture")
    prepared = prepare(tree, tmp_path / "out", skip_unreadable=True)
    assert b"odd\xff\xfe.JPEG" in {example["image/filename"] for example in records(tmp_path / "out", "train")}
    (unreadable,) = prepared.unreadable
    assert os.fsencode(unreadable).split(b": ")[0].endswith(b"broken\xff.JPEG")
    assert b"broken\xff.JPEG" in (tmp_path / "out" / unreadable_list.FILE).read_bytes()
    assert prepare(tree, tmp_path / "out", skip_unreadable=True).train == prepared.train


def test_png_and_cmyk_images_become_rgb_jpegs_with_the_same_pixels(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    png, cmyk = encoded(1, kind="PNG"), encoded(2, mode="CMYK")
    write(tree / "train/n02105855/n02105855_2.JPEG", png)
    write(tree / "train/n02105855/n02105855_3.JPEG", cmyk)
    prepared = prepare(tree, tmp_path / "out")
    found = {example["image/filename"].decode(): example for example in records(tmp_path / "out", "train")}
    for name, original in (("n02105855_2.JPEG", png), ("n02105855_3.JPEG", cmyk)):
        image = Image.open(io.BytesIO(found[name]["image/encoded"]))
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert image.size == (found[name]["image/width"], found[name]["image/height"])
        wanted = tf.io.decode_image(original, channels=3).numpy().astype(int)
        assert np.abs(np.asarray(image).astype(int) - wanted).mean() < 4
    folder = tree / "train/n02105855"
    assert sorted(prepared.reencoded) == [f"{folder}/n02105855_2.JPEG: was PNG", f"{folder}/n02105855_3.JPEG: was CMYK"]


def test_grey_images_keep_their_bytes(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    grey = encoded(3, mode="L")
    write(tree / "train/n02105855/n02105855_2.JPEG", grey)
    assert prepare(tree, tmp_path / "out").reencoded == ()
    assert grey in [example["image/encoded"] for example in records(tmp_path / "out", "train")]
