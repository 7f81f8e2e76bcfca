"""Prepared records hold what the folder held, whatever interrupted the preparation."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection.data.annotated_folders import coco_json, jpeg, png, write_coco, write_voc
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.detection.data.data import open_data
from tfperf.benchmarks.detection.data.prepare import DetectionRequest, PreparedDetection, prepare
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.data.sources import CocoFolder, DetectionRecords, VocFolder
from tfperf.benchmarks.prepare import journal
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

PREPROCESSING = DetectionPreprocessing(classes=2, size=32)
TRAIN, EVAL = 9, 4


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    names = [f"photo{number:02d}" for number in range(TRAIN + EVAL)]
    things = {
        name: [("cat", (1 + place, 2, 20, 20)) for place in range(1 + number % 3)] + [("hard", (0, 0, 40, 30))]
        for number, name in enumerate(names)
    }
    return write_voc(tmp_path / "set", things, lists={"trainval": names[:TRAIN], "test": names[TRAIN:]})


def request(folder: pathlib.Path, **changes: object) -> DetectionRequest:
    asked = DetectionRequest(
        layout=VocFolder(), source=folder, data_dir=folder.parent / "out", train_shards=3, eval_shards=2, workers=2
    )
    return dataclasses.replace(asked, **changes)


def prepared(folder: pathlib.Path, **changes: object) -> PreparedDetection:
    return prepare(request(folder, **changes), lambda line: None)


def opened(folder: pathlib.Path) -> OpenData:
    return open_data(spec.Data(source=DetectionRecords()), PREPROCESSING, folder.parent / "out")


def contents(data_dir: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(data_dir.glob("*-of-*"))}


def evaluated(data: OpenData) -> dict[int, list[np.ndarray]]:
    """Everything that evaluation yields for an image, by its number."""
    found = {}
    for images, targets, weights in data.evaluation(Feed(batch_size=3)).as_numpy_iterator():
        rest = {name: column for name, column in targets.items() if name != "number"}
        for place, number in enumerate(targets["number"].tolist()):
            if weights[place]:
                found[number] = [images[place], *(column[place] for column in rest.values())]
    return found


def test_records_are_evaluated_as_the_folder_is(folder: pathlib.Path) -> None:
    result = prepared(folder)
    assert (sum(result.train.values()), sum(result.validation.values())) == (TRAIN, EVAL)
    assert (result.classes, result.notes, result.unreadable) == (("cat", "hard"), (), ())
    from_records = opened(folder)
    assert (from_records.train_examples, from_records.eval_examples) == (TRAIN, EVAL)
    expected = evaluated(open_data(spec.Data(source=VocFolder()), PREPROCESSING, folder))
    found = evaluated(from_records)
    assert sorted(found) == sorted(expected) == list(range(EVAL))
    for number, columns in found.items():
        assert all(np.array_equal(*pair) for pair in zip(columns, expected[number], strict=True))
    seen = [targets["classes"] for _, targets in from_records.train(Feed(batch_size=TRAIN)).take(1).as_numpy_iterator()]
    assert sorted((seen[0] >= 0).sum(axis=1).tolist()) == [2, 2, 2, 3, 3, 3, 4, 4, 4]


def test_a_record_holds_the_features_of_the_object_detection_api(folder: pathlib.Path) -> None:
    prepared(folder)
    found = {}
    for path in sorted((folder.parent / "out").glob("validation-*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            found[features["image/source_id"].bytes_list.value[0].decode()] = features
    assert sorted(found) == ["photo09", "photo10", "photo11", "photo12"]
    features = found["photo10"]
    assert features["image/encoded"].bytes_list.value[0] == jpeg(10)
    assert features["image/filename"].bytes_list.value[0] == b"JPEGImages/photo10.jpg"
    assert (features["image/height"].int64_list.value, features["image/width"].int64_list.value) == ([30], [40])
    assert features["image/object/class/label"].int64_list.value == [1, 1, 2]
    assert features["image/object/class/text"].bytes_list.value == [b"cat", b"cat", b"hard"]
    assert features["image/object/difficult"].int64_list.value == [0, 0, 1]
    assert features["image/object/is_crowd"].int64_list.value == [0, 0, 0]
    assert list(features["image/object/bbox/xmax"].float_list.value) == [0.5, 0.5, 1.0]
    assert list(features["image/object/area"].float_list.value) == [19 * 18, 18 * 18, 1200]


def test_an_interrupted_preparation_goes_on_and_gives_the_same_files(folder: pathlib.Path) -> None:
    data_dir = folder.parent / "out"
    prepared(folder, workers=1)
    whole = contents(data_dir)
    (data_dir / "counts.json").unlink()
    lines = (data_dir / journal.FILE).read_text().splitlines(keepends=True)
    (data_dir / journal.FILE).write_text("".join(lines[:3]) + lines[3][:20])
    for name in list(whole)[2:]:
        (data_dir / name).unlink()
    said: list[str] = []
    prepare(request(folder), said.append)
    assert any(line.startswith("resuming: ") for line in said)
    assert contents(data_dir) == whole
    assert not list(data_dir.glob(".*.partial"))


def test_changed_annotations_are_not_mixed_with_finished_files(folder: pathlib.Path) -> None:
    prepared(folder)
    path = folder / "Annotations" / "photo03.xml"
    path.write_text(path.read_text().replace("<ymax>20<", "<ymax>21<", 1))
    with pytest.raises(UsageError, match="was started with other arguments"):
        prepared(folder)


def test_unreadable_images_are_named_and_may_be_left_out(folder: pathlib.Path) -> None:
    images, data_dir = folder / "JPEGImages", folder.parent / "out"
    (images / "photo01.jpg").write_bytes(b"no image")
    (images / "photo02.jpg").write_bytes(jpeg(2, width=30, height=40))
    (images / "photo03.jpg").rename(images / "photo03.png")
    (images / "photo03.png").write_bytes(png(3))
    with pytest.raises(DamagedDataError) as caught:
        prepared(folder)
    message = str(caught.value)
    assert "unreadable images: 2\n" in message
    assert "JPEGImages/photo01.jpg: neither JPEG nor PNG" in message
    assert "JPEGImages/photo02.jpg: annotated as 40 x 30, is 30 x 40" in message
    assert not (data_dir / "counts.json").exists()
    result = prepared(folder, skip_unreadable=True)
    assert sum(result.train.values()) == TRAIN - 2
    assert result.reencoded == ("JPEGImages/photo03.png: was PNG",)
    assert len((data_dir / "unreadable.txt").read_text().splitlines()) == 2
    assert opened(folder).train_examples == TRAIN - 2


def test_coco_is_prepared_with_its_categories(tmp_path: pathlib.Path) -> None:
    train = coco_json(
        {7: "a.jpg", 3: "b.jpg"}, [(7, 90, [1, 1, 5, 5]), (3, 4, [2, 2, 9, 9])], categories={90: "x", 4: "y"}
    )
    evaluation = coco_json({8: "c.jpg"}, [(8, 4, [1, 1, 5, 5])], categories={90: "x", 4: "y"})
    root = write_coco(tmp_path / "set", train, evaluation, source=CocoFolder())
    (root / "train2017" / "b.jpg").unlink()
    with pytest.raises(MissingDataError, match="listed images that are missing: 1"):
        prepared(root, layout=CocoFolder(), train_shards=1, eval_shards=1)
    result = prepared(root, layout=CocoFolder(), train_shards=1, eval_shards=1, skip_unreadable=True)
    assert result.unreadable == ("train2017/b.jpg: it can't be read: No such file or directory",)
    noted = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert (noted["classes"], noted["category_ids"]) == (["y", "x"], [4, 90])
    assert noted["most_objects"] == {"train": 1, "validation": 1}


def test_damaged_records_are_refused_before_a_run(folder: pathlib.Path) -> None:
    data_dir = folder.parent / "out"
    with pytest.raises(MissingDataError, match="is not a folder"):
        opened(folder)
    data_dir.mkdir()
    with pytest.raises(MissingDataError, match=r"holds no counts\.json, which a finished preparation leaves"):
        opened(folder)
    prepared(folder)
    path = data_dir / "train-00001-of-00003"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(DamagedDataError, match=r"another size than counts\.json says: train-00001-of-00003"):
        opened(folder)
    path.unlink()
    with pytest.raises(MissingDataError, match="1 of 3 train files are missing: train-00001-of-00003"):
        opened(folder)
    prepared(folder)  # writes it again
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": []}, "does not list classes with their categories"),
        ({"category_ids": [1]}, "does not list classes with their categories"),
        ({"most_objects": {"train": 3}}, "does not say how many objects an image has at most"),
        ({"train": {}}, "lists no train files, or others than tfperf writes"),
        ({"train": {f"train-0000{number}-of-00003": 0 for number in range(3)}}, "counts no record in its train files"),
        ({"validation": {"../../a": 3}}, "lists no validation files, or others than tfperf writes"),
    ],
)
def test_counts_of_other_records_are_refused(folder: pathlib.Path, change: dict[str, object], message: str) -> None:
    prepared(folder)
    path = folder.parent / "out" / "counts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DamagedDataError, match=f"{message}: it belongs to other records"):
        opened(folder)


def test_records_of_another_kind_are_refused(folder: pathlib.Path) -> None:
    prepared(folder)
    data_dir = folder.parent / "out"
    path = data_dir / "train-00000-of-00003"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())
    counts = data_dir / "counts.json"
    noted = json.loads(counts.read_text())
    noted["train"][path.name], noted["bytes"][path.name] = 1, path.stat().st_size
    counts.write_text(json.dumps(noted))
    with pytest.raises(DamagedDataError, match=r"train-00000-of-00003 record 0: .*image/.*Write the records with"):
        opened(folder)


def test_a_record_that_was_changed_is_named(folder: pathlib.Path) -> None:
    prepared(folder)
    path = folder.parent / "out" / "train-00000-of-00003"
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(bytes(content))
    data = opened(folder)
    with pytest.raises(tf.errors.OpError) as caught:
        list(data.train(Feed(batch_size=1)).take(TRAIN))
    assert f"{path}: corrupted record" in str(data.diagnose(caught.value))


@pytest.mark.parametrize("field", ["train_shards", "eval_shards", "workers"])
def test_impossible_requests_are_refused(folder: pathlib.Path, field: str) -> None:
    with pytest.raises(UsageError, match=f"--{field} must be 1 or more, got 0"):
        request(folder, **{field: 0})
    with pytest.raises(UsageError, match="--data_dir must differ from --source"):
        request(folder, data_dir=folder)
    with pytest.raises(UsageError, match="10 train files were requested and there are 9 examples"):
        prepared(folder, train_shards=10)
