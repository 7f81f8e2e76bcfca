"""Whatever annotations, lists and counts of images with boxes hold, they are read or explained, soon."""

import json
import pathlib
import random

import numpy as np
import pytest

from tests.benchmarks.detection.data.annotated_folders import coco_json, write_coco, write_voc, xml
from tests.fuzz.mutation import damaged, run_all, seeds, with_an_odd_value
from tfperf.benchmarks.detection.data import coco, image_size, records, voc
from tfperf.benchmarks.detection.data.annotations import Annotations
from tfperf.benchmarks.detection.data.found import FoundAnnotations
from tfperf.benchmarks.detection.data.prepare import DetectionRequest, prepare
from tfperf.benchmarks.detection.data.sources import CocoFolder, DetectionRecords, VocFolder
from tfperf.errors import DamagedDataError, MissingDataError

ANNOTATIONS, COUNTS = 150, 40
THINGS = [("cat", (1, 2, 11, 12)), ("ant", (5, 5, 40, 30)), ("cat", (3.5, 2, 11.25, 12))]


@pytest.fixture
def voc_folder(tmp_path: pathlib.Path) -> pathlib.Path:
    lists = {"trainval": ["a", "b"], "test": ["c"]}
    return write_voc(tmp_path / "voc", {name: THINGS for name in ("a", "b", "c")}, lists=lists)


def check(found: FoundAnnotations) -> None:
    """What any reader promises of what it accepted."""
    assert found.train is not None
    for split in (found.train, found.evaluation):
        annotations: Annotations = split.annotations
        boxes = annotations.boxes
        assert len(boxes) == annotations.starts[-1] == len(annotations.classes) == len(annotations.areas)
        assert np.isfinite(boxes).all()
        assert np.isfinite(annotations.areas).all()
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert ((annotations.classes >= 0) & (annotations.classes < len(found.classes))).all()
        assert min(annotations.widths.min(), annotations.heights.min()) > 0
        image_size.check(annotations, found.folder)
    assert all(line.isprintable() for line in found.notes)


def test_pascal_voc_is_read_or_explained(voc_folder: pathlib.Path) -> None:
    whole = xml(THINGS).encode()
    listed = (voc_folder / "ImageSets" / "Main" / "test.txt").read_bytes()

    def use(chance: random.Random) -> None:
        in_list = chance.random() < 0.2
        (voc_folder / "Annotations" / "a.xml").write_bytes(whole if in_list else damaged(whole, chance))
        path = voc_folder / "ImageSets" / "Main" / "test.txt"
        path.write_bytes(damaged(listed, chance) if in_list else listed)
        check(voc.read(VocFolder(), voc_folder))

    cases = ((f"voc {number}", lambda chance=chance: use(chance)) for number, chance in seeds(ANNOTATIONS))
    ended = run_all(cases, accepted=(DamagedDataError, MissingDataError))
    assert min(ended["accepted"], ended["DamagedDataError"]) > ANNOTATIONS / 20, ended


def test_coco_is_read_or_explained(tmp_path: pathlib.Path) -> None:
    source = CocoFolder()
    things = [(number % 4, 1 + number % 2, [number, 1, 5.5, 5]) for number in range(8)]
    content = coco_json({number: f"{number}.jpg" for number in range(4)}, things, categories={1: "ant", 2: "bee"})
    root = write_coco(tmp_path / "coco", content, content, source=source)

    def use(chance: random.Random) -> None:
        odd = json.dumps(with_an_odd_value(content, chance)).encode()
        (root / source.train_json).write_bytes(odd if chance.random() < 0.7 else damaged(odd, chance))
        check(coco.read(source, root))

    cases = ((f"coco {number}", lambda chance=chance: use(chance)) for number, chance in seeds(ANNOTATIONS))
    ended = run_all(cases, accepted=(DamagedDataError, MissingDataError))
    assert min(ended["accepted"], ended["DamagedDataError"]) > ANNOTATIONS / 20, ended


def test_counts_are_used_or_explained(voc_folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    data_dir = tmp_path / "out"
    request = DetectionRequest(layout=VocFolder(), source=voc_folder, data_dir=data_dir, train_shards=1, eval_shards=1)
    prepare(request, lambda line: None)
    counts = json.loads((data_dir / "counts.json").read_text())

    def use(chance: random.Random) -> None:
        odd = json.dumps(with_an_odd_value(counts, chance)).encode()
        (data_dir / "counts.json").write_bytes(odd if chance.random() < 0.7 else damaged(odd, chance))
        records.open_records(DetectionRecords(), data_dir)

    cases = ((f"counts {number}", lambda chance=chance: use(chance)) for number, chance in seeds(COUNTS))
    run_all(cases, accepted=(DamagedDataError, MissingDataError))
