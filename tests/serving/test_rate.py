"""Rates of Server runs outside the search."""

import pathlib
import types
from typing import Any, cast

import pytest

from tfperf import spec
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.errors import UsageError
from tfperf.inference import peak
from tfperf.inference.executable import Bucket
from tfperf.serving import rate
from tfperf.serving.inputs import ServedForm

EXECUTION_NS = {Bucket(1): 2e6, Bucket(8): 4e6}
FORM = ServedForm(
    executable="litert-float32", directory=pathlib.Path(), buckets=tuple(EXECUTION_NS), threads=1, instances=2
)


def spec_of(scenario: spec.Scenario, **changes: Any) -> spec.InferSpec:
    return spec.InferSpec(
        benchmark="resnet50_mini",
        division=spec.Division.INTERNAL,
        scenario=scenario,
        data=spec.Data(source=Shapes()),
        **changes,
    )


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (spec.Offline(), None),
        (spec.Server(target_qps=70), 70),
        (spec.Server(), peak.START_SHARE * 2 * 8 / 4e-3),
    ],
)
def test_an_accuracy_run_before_the_search_has_a_rate_that_the_form_keeps_up_with(scenario, expected):
    assert rate.expected_qps(spec_of(scenario), FORM, EXECUTION_NS) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize(
    ("target_qps", "min_duration_s", "min_queries", "most"),
    [(None, 10.0, None, None), (100.0, 10.0, None, 50), (100.0, 10.0, 5000, 210)],
)
def test_a_run_at_a_set_rate_is_ended_when_4_percent_are_late(target_qps, min_duration_s, min_queries, most):
    measured = spec_of(spec.Server(target_qps=100), min_duration_s=min_duration_s, min_queries=min_queries)
    prepared = cast(Any, types.SimpleNamespace(spec=measured))
    assert rate.most_late(prepared, target_qps) == most


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": 1, "kind": "infer"}'])
def test_a_resume_from_a_damaged_result_is_refused(content: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(
        UsageError, match=r"--resume .*: the form that was served there can't be read from result\.json"
    ):
        rate.earlier_form(tmp_path, spec_of(spec.Server()))


def test_a_resume_with_nothing_left_to_auto_needs_no_result(tmp_path: pathlib.Path) -> None:
    assert rate.earlier_form(tmp_path, spec_of(spec.Server(), executable="graph-float32")) is None
