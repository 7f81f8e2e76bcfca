"""Whether forms answer the calibration samples as well as float32, from the outputs that their builds wrote."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.inference.small_classifier import FUNCTION, GRAPH, INT8, build_of, compared, load_model
from tfperf.inference import stored_samples
from tfperf.inference.accuracy_judge import AccuracyJudge
from tfperf.inference.comparison_samples import ComparisonSamples
from tfperf.inference.executable import Bucket
from tfperf.inference.stored_samples import AnsweredBatch

SAMPLES = 16
RIGHT = np.eye(4, dtype=np.float32)[[0] * SAMPLES]  # all samples are of class 0
WRONG = np.eye(4, dtype=np.float32)[[1] * SAMPLES]


@pytest.fixture
def judge(tmp_path: pathlib.Path) -> Callable[..., AccuracyJudge]:
    """Judges outputs by form, in this order."""

    def judged(**outputs: np.ndarray) -> AccuracyJudge:
        model = compared()
        found = AccuracyJudge(model.task, ComparisonSamples.of(model, [Bucket(1)], judges=True))
        for name, probabilities in outputs.items():
            form = name.replace("_", "-")
            build = dataclasses.replace(build_of(tmp_path, load_model), form=form, directory=tmp_path / form)
            build.directory.mkdir()
            stored_samples.write_answers(build.answers, [AnsweredBatch(tuple(range(SAMPLES)), (probabilities,))])
            found.judge(build)
        return found

    return judged


def test_few_samples_prove_nothing_about_lower_precision_and_need_not_about_float32(
    judge: Callable[..., AccuracyJudge],
) -> None:
    found = judge(function_float32=RIGHT, graph_float32=RIGHT, litert_int8=RIGHT)
    assert found.quality == {FUNCTION: 1.0, GRAPH: 1.0, INT8: 1.0}
    assert found.inaccurate == {}
    assert found.unproven == {
        INT8: "its accuracy is not proven: on 16 calibration samples it loses 0.0000 of the quality, at most 0.1446 "
        "with 95% confidence, and 0.0100 may be lost. An accuracy run decides: set accuracy to true"
    }
    assert found.most_lost == {GRAPH: pytest.approx(0.1446, abs=1e-4), INT8: pytest.approx(0.1446, abs=1e-4)}
    assert found.agreement(INT8) == 1.0


def test_a_form_that_answers_otherwise_is_inaccurate_in_any_precision(judge: Callable[..., AccuracyJudge]) -> None:
    found = judge(function_float32=RIGHT, graph_float32=WRONG, litert_int8=WRONG)
    assert found.inaccurate.keys() == {GRAPH, INT8}
    assert found.inaccurate[INT8].startswith("it loses 1.0000 of the quality on 16 calibration samples, at least ")
    assert (found.agreement(INT8), found.unproven) == (0.0, {})


def test_outputs_that_are_not_finite_are_inaccurate_and_agree_with_nothing(
    judge: Callable[..., AccuracyJudge],
) -> None:
    found = judge(function_float32=RIGHT, litert_int8=RIGHT * np.nan)
    assert found.inaccurate == {INT8: "outputs must be finite"}
    assert found.agreement(INT8) is None
