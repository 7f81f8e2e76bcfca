"""A notebook shows a result in a few lines."""

import dataclasses
import html.parser

from tests.reporting.test_inference_table import SERVER
from tests.tuning.test_best_config import outcome as swept
from tfperf import result

TRAINED = result.TrainResult(
    benchmark="custom",
    division="internal",
    valid=False,
    reasons=("the target was missed: <accuracy> 0.5",),
    closed_eligible=False,
    closed_ineligible_because=(),
    status="aborted",
    config={"a": "b" * 5000},
    environment={},
    time_to_train_s=None,
    run_s=12.3456789,
    quality=result.Quality(metric="accuracy", value=0.5, target=0.9, reached=False),
    epochs=3,
    examples_per_s=123456.7,
    measurements=(result.Measurement(name="training", value=1e-5, unit="s"),),
)


class Texts(html.parser.HTMLParser):
    """The texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def texts(shown: str) -> list[str]:
    parser = Texts()
    parser.feed(shown)
    return parser.found


def test_a_training_is_shown_by_its_numbers() -> None:
    assert texts(TRAINED._repr_html_()) == [
        *("custom, internal: aborted", "the target was missed: <accuracy> 0.5"),
        *("on the clock (s)", "12.35", "accuracy", "0.5", "target", "0.9, missed"),
        *("epochs", "3", "examples/s", "123,457", "training (s)", "1e-05"),
    ]
    assert len(TRAINED._repr_html_()) < 2000 < len(repr(TRAINED))


def test_a_sweep_is_shown_by_its_best_values() -> None:
    assert texts(swept("throughput", [1.0], [2.0])._repr_html_())[:7] == [
        *("sweep of resnet50_mini, internal: success", "trials", "1", "best trial", "3"),
        *("best throughput", "700"),
    ]


def test_a_measurement_is_shown_by_its_metric() -> None:
    found = dataclasses.replace(
        SERVER,
        division="internal",
        scenario="SingleStream",
        metric=result.Measurement(name="latency", value=1.25, unit="ms"),
        latency_ns={"p90": 1_250_000.0},
        notes=(),
    )
    assert texts(found._repr_html_()) == [
        *("resnet50_mini, SingleStream, internal: success", "latency (ms)", "1.25", "latency p90 (ms)", "1.25"),
        *("accuracy", "0.9062", "target", "0.9", "executable", "xla-bfloat16"),
    ]
