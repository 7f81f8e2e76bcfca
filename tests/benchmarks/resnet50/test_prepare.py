"""Prepares tiny ImageNets, archives and all, and reads the records back as training does."""

import concurrent.futures
import contextlib
import csv
import io
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from PIL import Image

from tfperf.benchmarks.images import jpeg
from tfperf.benchmarks.prepare import journal, plan, shards
from tfperf.benchmarks.resnet50.prepare import imagenet, photos
from tfperf.errors import DamagedDataError, MissingDataError, TfperfError, UsageError

CLASSES = ("n01440764", "n01443537", "n02105855")
TRAIN_IMAGES = 4
VALIDATION_IMAGES = 6

Damage = Callable[[pathlib.Path], object]

FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/channels": tf.io.FixedLenFeature([], tf.int64),
    "image/format": tf.io.FixedLenFeature([], tf.string),
    "image/colorspace": tf.io.FixedLenFeature([], tf.string),
    "image/filename": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    "image/class/synset": tf.io.FixedLenFeature([], tf.string),
    "image/object/bbox/xmin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/xmax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/label": tf.io.VarLenFeature(tf.int64),
}


def encoded(seed: int, *, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    """A small picture; 24 to 31 pixels high, 32 wide."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    picture = Image.fromarray(noise).resize((32, 24 + seed % 8)).convert(mode)
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


def train_files() -> dict[str, bytes]:
    names = [f"{name}/{name}_{number}.JPEG" for name in CLASSES for number in range(TRAIN_IMAGES)]
    return {name: encoded(seed) for seed, name in enumerate(names)}


def validation_files() -> dict[str, bytes]:
    return {f"ILSVRC2012_val_{n:08d}.JPEG": encoded(100 + n) for n in range(1, VALIDATION_IMAGES + 1)}


def validation_classes() -> list[str]:
    return [CLASSES[n % len(CLASSES)] for n in range(VALIDATION_IMAGES)]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def tar(files: dict[str, bytes], mode: Literal["w:", "w:gz"] = "w:") -> bytes:
    content = io.BytesIO()
    with tarfile.open(None, mode, content) as archive:
        for name, file in files.items():
            add(archive, name, file)
    return content.getvalue()


def write_archives(source: pathlib.Path) -> pathlib.Path:
    """The downloads of ImageNet, but small: an archive of class archives, one of images, and the labels."""
    source.mkdir()
    files = train_files()
    by_class = {
        f"{name}.tar": tar({pathlib.Path(file).name: files[file] for file in files if file.startswith(name)})
        for name in reversed(CLASSES)
    }
    (source / "ILSVRC2012_img_train.tar").write_bytes(tar(by_class))
    shuffled = list(validation_files().items())
    random.Random(1).shuffle(shuffled)
    (source / "ILSVRC2012_img_val.tar").write_bytes(tar(dict(shuffled)))
    labels = "\n".join(validation_classes()) + "\n"
    (source / "imagenet_2012_validation_synset_labels.txt").write_text(labels)
    return source


def write_tree(source: pathlib.Path, validation: str = "validation") -> pathlib.Path:
    """The same images in class folders."""
    for name, content in train_files().items():
        write(source / "train" / name, content)
    for class_name, (name, content) in zip(validation_classes(), validation_files().items(), strict=True):
        write(source / validation / class_name / name, content)
    return source


def write(path: pathlib.Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def prepare(source: pathlib.Path, data_dir: pathlib.Path, **options: Any) -> imagenet.PreparedImageNet:
    options = {"train_shards": 3, "eval_shards": 2, **options}
    return imagenet.prepare(imagenet.ImageNetRequest(source=source, data_dir=data_dir, **options), lambda line: None)


def records(data_dir: pathlib.Path, split: str) -> Iterator[dict[str, Any]]:
    dataset = tf.data.TFRecordDataset(sorted(map(str, data_dir.glob(f"{split}-*"))))
    for features in dataset.map(lambda example: tf.io.parse_single_example(example, FEATURES)):
        yield {
            name: (tf.sparse.to_dense(value) if isinstance(value, tf.SparseTensor) else value).numpy()
            for name, value in features.items()
        }


def contents(data_dir: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.iterdir() if path.name.startswith(("train-", "valid"))}


def visible(data_dir: pathlib.Path) -> list[str]:
    return sorted(path.name for path in data_dir.iterdir() if path.name != ".prepare.lock")


@pytest.fixture
def archives(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_archives(tmp_path / "source")


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    return write_tree(tmp_path / "tree")


def test_archives_become_records_with_their_bytes_untouched(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "out")
    wanted = {pathlib.Path(name).name: content for name, content in train_files().items()}
    found = {example["image/filename"].decode(): example for example in records(tmp_path / "out", "train")}
    assert found.keys() == wanted.keys()
    for name, example in found.items():
        height, width, channels = tf.io.decode_jpeg(wanted[name], channels=3).shape
        assert example["image/encoded"] == wanted[name]
        assert (example["image/height"], example["image/width"]) == (height, width)
        assert (example["image/channels"], example["image/format"]) == (channels, b"JPEG")
        assert example["image/colorspace"] == b"RGB"
        assert example["image/class/synset"].decode() == name.split("_")[0]
        assert example["image/class/label"] == CLASSES.index(name.split("_")[0]) + 1
        assert example["image/object/bbox/xmin"].size == 0


def test_validation_images_get_the_labels_of_the_text_file(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "out")
    found = {
        e["image/filename"].decode(): e["image/class/synset"].decode() for e in records(tmp_path / "out", "validation")
    }
    assert found == dict(zip(validation_files(), validation_classes(), strict=True))


def test_validation_images_get_the_labels_of_the_devkit(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (archives / "imagenet_2012_validation_synset_labels.txt").unlink()
    numbers = {"n02105855": 1, "n01440764": 2, "n01443537": 3}
    synsets = np.array(
        [(number, name) for name, number in numbers.items()], [("ILSVRC2012_ID", "O"), ("WNID", "O")]
    ).reshape(-1, 1)
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    truth = "".join(f"{numbers[name]}\n" for name in validation_classes())
    data = "ILSVRC2012_devkit_t12/data"
    files = {f"{data}/meta.mat": meta.getvalue(), f"{data}/ILSVRC2012_validation_ground_truth.txt": truth.encode()}
    (archives / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tar(files, "w:gz"))
    prepare(archives, tmp_path / "out")
    found = {
        e["image/filename"].decode(): e["image/class/synset"].decode() for e in records(tmp_path / "out", "validation")
    }
    assert found == dict(zip(validation_files(), validation_classes(), strict=True))


def test_labels_may_begin_with_a_byte_order_mark(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    labels = archives / "imagenet_2012_validation_synset_labels.txt"
    labels.write_bytes(b"\xef\xbb\xbf" + labels.read_bytes())
    assert prepare(archives, tmp_path / "out").classes == CLASSES


def test_labels_in_another_encoding_are_named(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    labels = archives / "imagenet_2012_validation_synset_labels.txt"
    labels.write_text(labels.read_text(), encoding="utf-16")
    with pytest.raises(DamagedDataError, match=r"synset_labels\.txt is not UTF-8 text: .* Save it as UTF-8"):
        prepare(archives, tmp_path / "out")


def test_names_that_are_not_unicode_are_written_as_they_are(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = os.fsencode(tree / "train" / CLASSES[0])
    for name in (b"odd\xff\xfe.JPEG", b"broken\xff.JPEG"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(encoded(3) if name.startswith(b"odd") else b"no picture")
    prepared = prepare(tree, tmp_path / "out", skip_unreadable=True)
    assert b"odd\xff\xfe.JPEG" in {example["image/filename"] for example in records(tmp_path / "out", "train")}
    (unreadable,) = prepared.unreadable
    assert os.fsencode(unreadable).split(b": ")[0].endswith(b"broken\xff.JPEG")
    assert b"broken\xff.JPEG" in (tmp_path / "out" / imagenet.UNREADABLE_FILE).read_bytes()
    assert prepare(tree, tmp_path / "out", skip_unreadable=True).train == prepared.train


def test_a_flat_validation_folder_is_labelled_like_the_archive(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "from_archive")
    (archives / "ILSVRC2012_img_val.tar").unlink()
    for name, content in validation_files().items():
        write(archives / "validation" / name, content)
    prepare(archives, tmp_path / "from_folder")
    assert contents(tmp_path / "from_folder") == contents(tmp_path / "from_archive")


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_class_folders_give_the_same_files_as_archives(
    archives: pathlib.Path, tmp_path: pathlib.Path, validation: str
) -> None:
    prepare(archives, tmp_path / "from_archives", workers=3)
    prepare(write_tree(tmp_path / "tree", validation), tmp_path / "from_tree", workers=1)
    assert len(contents(tmp_path / "from_tree")) == 5
    assert contents(tmp_path / "from_tree") == contents(tmp_path / "from_archives")


def test_counts_tell_the_examples_of_each_file(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepared = prepare(tree, tmp_path / "out", train_shards=5)
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert counts == {
        "train": {f"train-{n:05d}-of-00005": count for n, count in enumerate([2, 2, 3, 2, 3])},
        "validation": {"validation-00000-of-00002": 3, "validation-00001-of-00002": 3},
        "bytes": {path.name: path.stat().st_size for path in (tmp_path / "out").glob("*-of-*")},
        "classes": list(CLASSES),
    }
    for name, count in {**counts["train"], **counts["validation"]}.items():
        assert len(list(tf.data.TFRecordDataset(str(tmp_path / "out" / name)))) == count
    assert prepared.train == counts["train"]
    assert visible(tmp_path / "out") == sorted([*counts["train"], *counts["validation"], "counts.json", journal.FILE])


def test_images_of_a_class_are_spread_over_the_files(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "out", train_shards=1)
    labels = [int(example["image/class/label"]) for example in records(tmp_path / "out", "train")]
    assert sorted(labels) != labels


ANNOTATION = """<annotation><folder>{folder}</folder><filename>%s</filename>
<size><width>200</width><height>100</height><depth>3</depth></size>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><bndbox><xmin>{x[0]}</xmin><ymin>{y[0]}</ymin>
<xmax>{x[1]}</xmax><ymax>{y[1]}</ymax></bndbox></object>"""


def annotation(folder: str, *boxes: tuple[str, tuple[int, int], tuple[int, int]]) -> bytes:
    objects = "".join(OBJECT.format(name=name, x=x, y=y) for name, x, y in boxes)
    return ANNOTATION.format(folder=folder, objects=objects).encode()


def boxes_of(data_dir: pathlib.Path) -> dict[str, list[list[float]]]:
    corners = [f"image/object/bbox/{corner}" for corner in ("xmin", "ymin", "xmax", "ymax")]
    found = {}
    for example in records(data_dir, "train"):
        boxes = np.stack([example[corner] for corner in corners], axis=1)
        assert example["image/object/bbox/label"].tolist() == [example["image/class/label"]] * len(boxes)
        if len(boxes):
            found[example["image/filename"].decode()] = boxes.round(4).tolist()
    return found


def test_boxes_come_from_the_annotations_by_the_rules_of_the_reference(
    archives: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    dog, fish = CLASSES[2], CLASSES[0]
    files = {
        f"{dog}/{dog}_0.xml": annotation(dog, (dog, (20, 60), (10, 90)), ("Scottish_deerhound", (0, 100), (0, 50))),
        f"{dog}/{dog}_1.xml": annotation(dog, (dog, (220, -20), (90, 10))),  # corners swapped, beyond the image
        f"{dog}/{dog}_2.xml": annotation(dog, (dog, (50, 50), (10, 90)), (fish, (0, 9), (0, 9))),  # no area; a fish
        "n99999999/n99999999_0.xml": annotation("n99999999", ("n99999999", (1, 2), (1, 2))),  # not of the 1000
    }
    (archives / "ILSVRC2012_bbox_train_v2.tar.gz").write_bytes(tar(files, "w:gz"))
    prepare(archives, tmp_path / "out")
    assert boxes_of(tmp_path / "out") == {
        f"{dog}_0.JPEG": [pytest.approx([0.1, 0.1, 0.3, 0.9]), pytest.approx([0.0, 0.0, 0.5, 0.5])],
        f"{dog}_1.JPEG": [pytest.approx([0.0, 0.1, 1.0, 0.9])],
    }


def test_boxes_come_from_the_csv_file_of_the_reference(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    name = "n01443537_2.JPEG"
    with (tree / "imagenet_2012_bounding_boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([(name, "0.0060", "0.2620", "0.7545", "0.9940"), (name, 0, 0, 1, 1)])
    prepare(tree, tmp_path / "out")
    assert boxes_of(tmp_path / "out") == {
        name: [pytest.approx([0.006, 0.262, 0.7545, 0.994], abs=1e-4), [0.0, 0.0, 1.0, 1.0]]
    }


def test_a_directory_named_like_an_annotation_is_none(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with tarfile.open(archives / "ILSVRC2012_bbox_train_v2.tar.gz", "w:gz") as archive:
        directory = tarfile.TarInfo(f"{CLASSES[0]}/{CLASSES[0]}_0.xml")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
    prepare(archives, tmp_path / "out")
    assert boxes_of(tmp_path / "out") == {}


def test_a_csv_file_in_another_encoding_is_named(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tree / "imagenet_2012_bounding_boxes.csv").write_text("a.JPEG,0,0,1,1\n", encoding="utf-16")
    with pytest.raises(DamagedDataError, match=r"boxes\.csv is not a csv file in UTF-8: .* Make it again"):
        prepare(tree, tmp_path / "out")


def test_a_csv_file_of_something_else_is_named_with_its_line(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tree / "imagenet_2012_bounding_boxes.csv").write_text("a.JPEG,0,0,1,1\nb.JPEG,0,0,one,1\n")
    with pytest.raises(DamagedDataError, match=r"boxes\.csv:2: expected name,xmin,ymin,xmax,ymax, got \['b\.JPEG'"):
        prepare(tree, tmp_path / "out")


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


KILLED = """
import pathlib, sys
from tfperf.benchmarks.resnet50.prepare import imagenet
source, data_dir = map(pathlib.Path, sys.argv[1:])
imagenet.prepare(imagenet.ImageNetRequest(source=source, data_dir=data_dir, train_shards=100, eval_shards=2), print)
"""


def test_a_killed_preparation_is_resumed_and_ends_with_the_same_files(
    tree: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for number in range(400):
        write(tree / f"train/n01440764/more_{number}.JPEG", encoded(number))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tree), str(tmp_path / "out")])
    while not list((tmp_path / "out").glob("train-*")) and process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = contents(tmp_path / "out")
    assert 0 < len(kept) < 102
    assert not (tmp_path / "out/counts.json").exists()
    said: list[str] = []
    request = imagenet.ImageNetRequest(source=tree, data_dir=tmp_path / "out", train_shards=100, eval_shards=2)
    imagenet.prepare(request, said.append)
    prepare(tree, tmp_path / "uninterrupted", train_shards=100)
    assert contents(tmp_path / "out") == contents(tmp_path / "uninterrupted")
    assert visible(tmp_path / "out") == visible(tmp_path / "uninterrupted")
    assert any(line.startswith("resuming: ") for line in said) or len(kept) == 1


def test_a_second_call_keeps_everything(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first = prepare(tree, tmp_path / "out")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*-of-*")}
    assert prepare(tree, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*-of-*")} == stamps


def test_what_is_missing_or_cut_is_written_again(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "out")
    whole = contents(tmp_path / "out")
    (tmp_path / "out/train-00000-of-00003").unlink()
    os.truncate(tmp_path / "out/train-00001-of-00003", 100)
    with (tmp_path / "out" / journal.FILE).open("a") as file:
        file.write('{"name": "train-0')
    prepare(tree, tmp_path / "out")
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [({"train_shards": 4}, "train_shards: 3 then, 4 now"), ({"eval_shards": 3}, "eval_shards: 2 then, 3 now")],
)
def test_other_arguments_do_not_resume(
    tree: pathlib.Path, tmp_path: pathlib.Path, options: dict[str, int], message: str
) -> None:
    prepare(tree, tmp_path / "out")
    with pytest.raises(UsageError, match=rf"started with other arguments \({message}"):
        prepare(tree, tmp_path / "out", **options)


def test_other_images_do_not_resume(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "out")
    write(tree / "train/n01440764/new.JPEG", encoded(9))
    with pytest.raises(UsageError, match="images: 18 then, 19 now"):
        prepare(tree, tmp_path / "out")


def test_files_of_another_origin_are_not_overwritten(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "out/train-00001-of-00003", b"precious")
    with pytest.raises(UsageError, match=r"already holds train-00001-of-00003 and no prepare\.jsonl"):
        prepare(tree, tmp_path / "out")
    assert (tmp_path / "out/train-00001-of-00003").read_bytes() == b"precious"


def test_counts_of_imagenet_are_verified(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said: list[str] = []
    request = imagenet.ImageNetRequest(source=archives, data_dir=tmp_path / "out", train_shards=1, eval_shards=1)
    prepared = imagenet.prepare(request, said.append)
    note = "not the complete ImageNet ILSVRC2012: 12 training and 6 validation images, "
    note += "where MLPerf has 1,281,167 and 50,000"
    assert prepared.notes == (note,)
    found = "found 12 training and 6 validation images of 3 classes"
    assert said == [f"listing the images of {archives}", found, f"note: {note}"]


def test_a_thousand_wordnet_folders_are_imagenet(tmp_path: pathlib.Path) -> None:
    for number in range(1000):
        write(tmp_path / f"tree/train/n{number:08d}/a.JPEG", encoded(1))
    write(tmp_path / "tree/val/n00000000/b.JPEG", encoded(2))
    prepared = prepare(tmp_path / "tree", tmp_path / "out", eval_shards=1)
    assert "1,000 training and 1 validation images" in prepared.notes[0]


def test_files_that_are_no_images_are_counted(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tree / "train/n01440764/Thumbs.db", b"")
    write(tree / "train/n01440764/._a.JPEG", b"")
    write(tree / "train/readme.txt", b"")
    notes = prepare(tree, tmp_path / "out").notes
    assert len(notes) == 1
    assert notes[0].startswith("ignored files that are not named as images: 3, first ")


def test_two_preparations_do_not_share_a_folder(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    hold = "import pathlib, sys; from tfperf.benchmarks.prepare import lock\n"
    hold += "with lock.locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="Another process prepares"):
            prepare(tree, tmp_path / "out")
        holder.communicate()
    prepare(tree, tmp_path / "out")


def test_a_full_disk_leaves_nothing_half_written(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tree / "train/n01440764/large.JPEG", encoded(1) + bytes(2_000_000))  # what follows the image is ignored
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"train-0000\d-of-00003 can't be written: .*Free space or choose another"):
            prepare(tree, tmp_path / "out", workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [name for name in visible(tmp_path / "out") if "partial" in name]
    assert not (tmp_path / "out/counts.json").exists()
    prepare(tree, tmp_path / "out")
    assert len(list(records(tmp_path / "out", "train"))) == 13


def test_free_space_is_checked_beforehand(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    huge = tree / "train/n01440764/huge.JPEG"
    huge.touch()
    os.truncate(huge, 2**43)  # sparse: takes no space itself
    with pytest.raises(UsageError, match=r"has .* GB free; 8796\.1 GB are needed"):
        prepare(tree, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_interruption_ends_the_threads_and_leaves_no_partial_file(
    tree: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(journal, "remember", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tree, tmp_path / "out", workers=2)
    assert not [name for name in visible(tmp_path / "out") if "partial" in name]
    monkeypatch.undo()
    assert sum(prepare(tree, tmp_path / "out").train.values()) == 12


def test_a_stopped_shard_is_given_up(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def refuse(photo: photos.StoredPhoto) -> shards.Record:
        raise AssertionError(f"{photo} was read")

    stop = threading.Event()
    stop.set()
    planned = plan.shards("train", photos.find(tree).train, count=1)
    with pytest.raises(concurrent.futures.CancelledError):
        shards.write(planned[0], tmp_path, record_of=refuse, skip_unreadable=False, stop=stop)
    assert not (tmp_path / ".train-00000-of-00001.partial").exists()


def _without(path: str) -> Damage:
    return lambda source: (source / path).unlink()


def _cut(path: str) -> Damage:
    return lambda source: os.truncate(source / path, (source / path).stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (_without("ILSVRC2012_img_train.tar"), MissingDataError, "holds neither ILSVRC2012_img_train.tar nor a folder"),
        (_without("ILSVRC2012_img_val.tar"), MissingDataError, "holds no ILSVRC2012_img_val.tar, validation or val"),
        (
            _without("imagenet_2012_validation_synset_labels.txt"),
            MissingDataError,
            "holds no labels of the validation images. Put ILSVRC2012_devkit_t12.tar.gz there",
        ),
        (_cut("ILSVRC2012_img_train.tar"), DamagedDataError, "img_train.tar is damaged or was not downloaded whole"),
        (_cut("ILSVRC2012_img_val.tar"), DamagedDataError, "img_val.tar is damaged or was not downloaded whole"),
        (
            _cut("imagenet_2012_validation_synset_labels.txt"),
            DamagedDataError,
            "3 validation labels for 6 validation images",
        ),
        (
            lambda source: (source / "imagenet_2012_validation_synset_labels.txt").write_text("n09999999\n" * 6),
            DamagedDataError,
            "validation images of classes without training images: n09999999",
        ),
        (
            lambda source: (source / "ILSVRC2012_bbox_train_v2.tar.gz").write_bytes(b"no archive"),
            DamagedDataError,
            "ILSVRC2012_bbox_train_v2.tar.gz can't be read",
        ),
    ],
)
def test_archives_that_are_missing_or_damaged_are_named(
    archives: pathlib.Path, tmp_path: pathlib.Path, damage: Damage, error: type[TfperfError], message: str
) -> None:
    damage(archives)
    with pytest.raises(error) as raised:
        prepare(archives, tmp_path / "out")
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_devkit_of_something_else_is_named(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (archives / "imagenet_2012_validation_synset_labels.txt").unlink()
    (archives / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tar({"readme.txt": b""}, "w:gz"))
    with pytest.raises(DamagedDataError, match=r"ILSVRC2012_devkit_t12\.tar\.gz can't be read: KeyError"):
        prepare(archives, tmp_path / "out")


def test_a_class_folder_without_images_is_named(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tree / "train/n00000001/readme.txt", b"")
    with pytest.raises(MissingDataError, match="class folders without images: n00000001"):
        prepare(tree, tmp_path / "out")


def test_more_files_than_images_are_refused(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="7 validation files were requested and there are 6 examples"):
        prepare(tree, tmp_path / "out", eval_shards=7)


def test_a_data_dir_that_cannot_be_made_is_named(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "file", b"")
    with pytest.raises(UsageError, match=r"--data_dir .*/file/out can't be written: Not a directory"):
        prepare(tree, tmp_path / "file/out")


def test_the_source_is_not_written_into(tree: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="--data_dir must differ from --source"):
        prepare(tree, tree)


def _repacked(path: pathlib.Path, **more: bytes) -> None:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    path.write_bytes(tar({**{name.replace("__", "."): content for name, content in more.items()}, **files}))


def test_other_files_in_an_archive_are_left_out_and_told(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "without")
    _repacked(archives / "ILSVRC2012_img_train.tar", README__txt=b"Thank you for downloading\n" * 99)
    _repacked(archives / "ILSVRC2012_img_val.tar", README=b"hello")
    assert any("files that are not named as images: 2" in note for note in prepare(archives, tmp_path / "with").notes)
    assert contents(tmp_path / "with") == contents(tmp_path / "without")


def test_an_image_beside_the_class_archives_is_told(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _repacked(archives / "ILSVRC2012_img_train.tar", n01440764_1__JPEG=b"image")
    with pytest.raises(MissingDataError, match=r"n01440764_1\.JPEG is an image outside of a class archive"):
        prepare(archives, tmp_path / "out")


def test_a_damaged_class_archive_is_named(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _repacked(archives / "ILSVRC2012_img_train.tar", n99999999__tar=b"no archive" * 99)
    with pytest.raises(DamagedDataError, match=r"n99999999\.tar in it can't be read as an archive"):
        prepare(archives, tmp_path / "out")


def test_a_download_that_is_no_archive_shows_how_it_begins(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (archives / "ILSVRC2012_img_train.tar").write_bytes(b"<!DOCTYPE html><html>log in first</html>" * 99)
    with pytest.raises(DamagedDataError, match=r"is not a tar archive: .* It begins with b'<!DOCTYPE html>"):
        prepare(archives, tmp_path / "out")
