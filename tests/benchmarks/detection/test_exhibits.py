"""What there is to see of an evaluation: fixed images with their detections, and precision by recall."""

import numpy as np
import pytest

from tests.benchmarks.detection.made_up import scored_images
from tests.benchmarks.detection.test_scorer import batch, seen
from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection import coco
from tfperf.benchmarks.detection.data.sources import DrawnScenes
from tfperf.benchmarks.detection.scorer import DetectionScorer

TASK = benchmarks.training_task(benchmarks.get("ssd_mini"))
DATA = specs.Data(source=DrawnScenes(train_examples=8, eval_examples=20))


def test_the_same_images_are_drawn_with_what_was_scored_in_them() -> None:
    data = TASK.open_data(DATA, TASK.options, None)
    scorer = TASK.scorer(TASK.options)
    assert data.exhibit(scorer)().pictures == (), "nothing was scored yet"
    names = []
    for score in (0.0, 0.9):
        scorer.reset()
        for images, targets, weights in data.evaluation(Feed(batch_size=8)):
            found = np.zeros((len(images), 200, 6), "float32")
            found[:, 0] = (0.2, 0.2, 0.8, 0.8, score, 1)
            scorer.update({name: part.numpy() for name, part in targets.items()}, found, weights.numpy())
        scorer.result([scorer.seen()])
        exhibits = data.exhibit(scorer)()
        assert all((picture.width, picture.height) == (648, 342) for picture in exhibits.pictures)
        names.append([picture.name for picture in exhibits.pictures])
        pictures = [picture.encoded for picture in exhibits.pictures]
        assert len(set(pictures)) == 8
    assert names[0] == names[1]
    assert len(set(names[0])) == 8


@pytest.mark.parametrize("hosts", [1, 2])
def test_an_image_keeps_its_objects_whichever_host_saw_it(hosts: int) -> None:
    true, found = scored_images(4, images=30)
    numbers = true.images.tolist()
    scorer = DetectionScorer()
    scorer.result([seen(scorer, batch(true, found, numbers[at::hosts])) for at in range(hosts)])
    assert scorer.scored is not None
    assert scorer.scored.drawn(max(numbers) + 1) is None
    for number in numbers:
        objects, detections = scorer.scored.drawn(number)
        mine, theirs = true.image == number, found.image == number
        np.testing.assert_array_equal(objects.classes, true.classes[mine])
        np.testing.assert_allclose(objects.boxes * (640, 480, 640, 480), true.boxes[mine], atol=1e-3)
        np.testing.assert_array_equal(detections.classes, found.classes[theirs])
        np.testing.assert_allclose(detections.scores, found.scores[theirs], atol=1e-6)


def test_the_area_below_a_curve_is_the_average_precision() -> None:
    true, found = scored_images(4, images=30)
    evaluation = coco.evaluate(true, found)
    assert [curve.number for curve in evaluation.curves] == np.unique(true.classes[~true.crowd]).tolist()
    mean = np.mean([curve.precision.mean() for curve in evaluation.curves])
    assert mean == pytest.approx(evaluation.figures["map_50"], abs=1e-12)
    for curve in evaluation.curves:
        assert curve.total == np.count_nonzero((true.classes == curve.number) & ~true.crowd)
        assert (np.diff(curve.precision) <= 0).all()
        assert (np.diff(curve.score[curve.precision > 0]) <= 0).all()
        assert curve.recall.tolist() == pytest.approx(np.linspace(0, 1, 101).tolist())
