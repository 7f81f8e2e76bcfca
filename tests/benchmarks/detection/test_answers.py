"""What is answered reads as the model's detections, and scores as MLPerf's accuracy scripts score it."""

import contextlib
import dataclasses
import io
import json
import pathlib

import numpy as np
import pytest

from tests.benchmarks.detection.made_up import scored_images
from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import OpenSamples, Ragged
from tfperf.benchmarks.detection import answers, voc
from tfperf.benchmarks.detection.object_columns import ObjectColumns
from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects

CATEGORIES = (3, 4, 7, 9, 12)
SIDE = 640


class Truth:
    """What the samples know about their objects, in columns only."""

    class Classes:
        """Five classes whose categories have gaps."""

        names = tuple(f"class {number}" for number in CATEGORIES)
        category_ids = CATEGORIES

    def __init__(self, columns: ObjectColumns) -> None:
        self.columns, self.classes = columns, self.Classes()


def made_up() -> tuple[TrueObjects, FoundObjects]:
    """Objects and detections in images numbered from 0."""
    true, found = scored_images(4, classes=len(CATEGORIES))
    first = true.images[0]
    numbers = {"images": true.images - first, "image": true.image - first}
    return dataclasses.replace(true, **numbers), dataclasses.replace(found, image=found.image - first)


def samples_of(true: TrueObjects) -> OpenSamples:
    """Images of one size with these objects."""
    order = np.argsort(true.image, kind="stable")
    columns = ObjectColumns(
        sizes=np.full((len(true.images), 2), SIDE),
        starts=np.searchsorted(true.image[order], np.arange(len(true.images) + 1)),
        boxes=true.boxes[order],
        classes=true.classes[order],
        areas=true.areas[order],
        crowd=true.crowd[order],
        difficult=true.difficult[order],
        category_ids=CATEGORIES,
    )
    return OpenSamples(
        total=len(true.images),
        load=lambda indices: [],
        labels=lambda: Truth(columns),
        names=lambda: tuple(f"{number}.jpg" for number in true.images),
        fingerprint="",
    )


def outputs_of(found: FoundObjects, images: int, *, most: int = 400) -> np.ndarray:
    """Detections as a model with a background class returns them."""
    packed = np.zeros((images, most, 6), np.float32)
    for number in range(images):
        mine = np.flatnonzero(found.image == number)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")]
        packed[number, : len(mine), :4] = found.boxes[mine] / SIDE
        packed[number, : len(mine), 4] = found.scores[mine]
        packed[number, : len(mine), 5] = found.classes[mine] + 1
    return packed


def responses_of(packed: np.ndarray, samples: OpenSamples) -> dict[int, bytes]:
    """The response to each image."""
    respond = answers.responder(samples, first_class=1)
    found = respond((packed,), range(len(packed)))
    assert isinstance(found, Ragged)
    whole, ends = found.buffer.tobytes(), found.offsets.tolist()
    return {number: whole[ends[number] : ends[number + 1]] for number in range(len(packed))}


def by_the_script(folder: pathlib.Path) -> float:
    """The steps of accuracy-openimages.py with the annotations of the folder."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    results = json.loads((folder / loadgen_log.ACCURACY).read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO(str(folder / answers.ANNOTATIONS))
        detections, image_ids = [], set()
        for row in results:
            image = objects.dataset["images"][row["qsl_idx"]]
            image_ids.add(image["id"])
            data = np.frombuffer(bytes.fromhex(row["data"]), np.float32)
            for start in range(0, len(data) // 7 * 7, 7):
                number, ymin, xmin, ymax, xmax, score, label = data[start : start + 7]
                assert int(number) == row["qsl_idx"]
                ymin, ymax = ymin * image["height"], ymax * image["height"]
                xmin, xmax = xmin * image["width"], xmax * image["width"]
                box = [float(xmin), float(ymin), float(xmax - xmin), float(ymax - ymin)]
                kind = {"image_id": image["id"], "category_id": int(label)}
                detections.append({**kind, "bbox": box, "score": float(score)})
        evaluation = COCOeval(objects, objects.loadRes(detections), iouType="bbox")
        evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def write_log(folder: pathlib.Path, responses: dict[int, bytes]) -> None:
    """Writes the responses as LoadGen does."""
    rows = [
        {"seq_id": place, "qsl_idx": number, "data": response.hex().upper()}
        for place, (number, response) in enumerate(responses.items())
    ]
    (folder / loadgen_log.ACCURACY).write_text(json.dumps(rows), encoding="utf-8")


@pytest.fixture(scope="module")
def scored() -> tuple[OpenSamples, dict[int, bytes]]:
    """Images with objects and crowds, some without either, and the responses to them."""
    true, found = made_up()
    samples = samples_of(true)
    return samples, responses_of(outputs_of(found, samples.total), samples)


def test_a_response_has_a_row_of_seven_numbers_for_each_detection() -> None:
    samples = samples_of(made_up()[0])
    packed = np.zeros((3, 4, 6), np.float32)
    packed[0, :2] = [[0.1, 0.2, 0.3, 0.4, 0.9, 5], [0, 0, 1, 1.25, 0.5, 1]]
    packed[2, 0] = [0.5, 0.5, 0.75, 0.75, 0.25, 3]
    found = answers.responder(samples, first_class=1)((packed,), [7, 5, 2])
    assert found.buffer.dtype.str == "<f4"
    expected = [[7, 0.2, 0.1, 0.4, 0.3, 0.9, 12], [7, 0, 0, 1.25, 1, 0.5, 3], [2, 0.5, 0.5, 0.75, 0.75, 0.25, 7]]
    np.testing.assert_array_equal(found.buffer, np.array(expected, np.float32))
    assert found.offsets.tolist() == [0, 56, 56, 84]  # nothing for the image without detections
    single = answers.responder(samples, first_class=1)((packed[1:2],), [1])
    assert (single.buffer.nbytes, single.offsets.tolist()) == (0, [0, 0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_detections_that_are_not_finite_are_refused(bad: float) -> None:
    samples = samples_of(made_up()[0])
    packed = np.zeros((3, 2, 6), np.float32)
    packed[1, :, 4] = bad
    with pytest.raises(ValueError, match="those of 1 of 3 samples of the batch are not, first of sample 1"):
        answers.responder(samples)((packed,), range(3))


@pytest.mark.parametrize("share", [1, 3])
def test_scores_as_the_official_script_does(
    share: int, scored: tuple[OpenSamples, dict[int, bytes]], tmp_path: pathlib.Path
) -> None:
    samples, whole = scored
    responses = {number: response for number, response in whole.items() if number % share == 0}
    quality = answers.score(responses, samples)
    answers.write(tmp_path, responses, samples, quality)
    write_log(tmp_path, responses)
    assert 0.05 < quality < 0.95
    assert by_the_script(tmp_path) == pytest.approx(quality, abs=1e-6)
    assert answers.recompute(tmp_path, responses) == pytest.approx(quality, abs=1e-9)
    assert (tmp_path / answers.ACCURACY).read_text() == f"mAP={100 * quality:.3f}%\n"


def test_scores_by_pascal_vocs_rules_and_leaves_difficult_objects_out(
    scored: tuple[OpenSamples, dict[int, bytes]], tmp_path: pathlib.Path
) -> None:
    samples, responses = scored
    columns = dataclasses.replace(
        samples.labels().columns, difficult=np.arange(len(samples.labels().columns.areas)) % 3 == 0
    )
    marked = dataclasses.replace(samples, labels=lambda: Truth(columns))
    true, found = made_up()
    order = np.argsort(true.image, kind="stable")
    expected = voc.mean_average_precision(
        dataclasses.replace(true, difficult=columns.difficult[np.argsort(order, kind="stable")]), found
    ).all_points
    quality = answers.VOC_SCORING.score(responses, marked)
    assert quality == pytest.approx(expected, abs=1e-6)
    assert quality != pytest.approx(answers.VOC_SCORING.score(responses, samples), abs=1e-6)
    answers.VOC_SCORING.write(tmp_path, responses, marked, quality)
    assert answers.VOC_SCORING.recompute is not None
    assert answers.VOC_SCORING.recompute(tmp_path, responses) == pytest.approx(quality, abs=1e-9)
    assert answers.recompute(tmp_path, responses) == pytest.approx(answers.score(responses, samples), abs=1e-9)
    everything = dataclasses.replace(columns, difficult=np.ones(len(columns.areas), bool))
    with pytest.raises(ValueError, match="are crowds or difficult"):
        answers.VOC_SCORING.score(responses, dataclasses.replace(samples, labels=lambda: Truth(everything)))


def test_an_image_without_detections_counts(scored: tuple[OpenSamples, dict[int, bytes]]) -> None:
    samples, responses = scored
    emptied = {number: b"" if number % 2 else response for number, response in responses.items()}
    assert answers.score(emptied, samples) < answers.score(responses, samples)
    assert answers.score(dict.fromkeys(responses, b""), samples) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "has a response. Run the accuracy run again."),
        ({10_000: b""}, "There is a response to sample 10000, and samples have the numbers 0 to"),
        ({1: b"x" * 30}, "The response to sample 1 must be rows of 28 bytes"),
        ({1: np.full(7, np.nan, "<f4").tobytes()}, "The response to sample 1 holds a number that is not finite."),
        ({1: np.array([2, 0, 0, 1, 1, 1, 3], "<f4").tobytes()}, "The response to sample 1 states detections of sample"),
        ({1: np.array([1, 0, 0, 1, 1, 1, 5], "<f4").tobytes()}, "states category 5, which the data set doesn't have"),
    ],
)
def test_responses_that_cannot_be_scored_are_refused(
    changes: dict[int, bytes] | None, message: str, scored: tuple[OpenSamples, dict[int, bytes]]
) -> None:
    samples, responses = scored
    with pytest.raises(ValueError) as caught:
        answers.score({} if changes is None else {**responses, **changes}, samples)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"images": [], "annotations": []}',
        '{"images": [{"id": 4}], "annotations": []}',
        '{"images": [], "annotations": [], "categories": [{"id": 4}, {"id": 2}]}',
        '{"images": [{"id": 0, "width": 8, "height": 8}], "categories": [{"id": 1}], "annotations": [{"image_id": 0, '
        '"category_id": 1, "bbox": [0, 0, 1, 1e999], "area": 1, "iscrowd": 0}]}',
        '{"images": [{"id": 0, "width": 8, "height": 8}], "categories": [{"id": 1}], "annotations": [{"image_id": 3, '
        '"category_id": 1, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0}]}',
    ],
)
def test_annotations_that_tfperf_did_not_write_are_refused(content: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / answers.ANNOTATIONS).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError):
        answers.recompute(tmp_path, {0: b""})


def row(category: int, score: float, box: tuple[float, ...]) -> np.ndarray:
    """A detection in sample 0 by its left, top, right and bottom edge."""
    x1, y1, x2, y2 = box
    return np.array([0, y1, x1, y2, x2, score, category], "<f4")


def test_detections_agree_as_much_as_they_overlap() -> None:
    whole, half = row(3, 0.5, (0, 0, 1, 1)), row(3, 0.5, (0, 0, 0.5, 1))
    other = row(4, 0.5, (0, 0, 1, 1))
    weak = row(3, 0.1, (0, 0, 1, 1))
    assert answers.agreement(b"", b"") == 1
    assert answers.agreement(whole.tobytes(), whole.tobytes()) == 1
    assert answers.agreement(whole.tobytes(), b"") == 0
    assert answers.agreement(whole.tobytes(), half.tobytes()) == pytest.approx(0.5)
    assert answers.agreement(whole.tobytes(), other.tobytes()) == 0
    both = np.concatenate((whole, other)).tobytes()
    assert answers.agreement(both, whole.tobytes()) == pytest.approx(2 * 0.5 / 1.5)
    assert answers.agreement(np.concatenate((whole, weak)).tobytes(), whole.tobytes()) == pytest.approx(1 / 1.1)
    swapped = np.concatenate((other, whole)).tobytes()
    assert answers.agreement(both, swapped) == 1
