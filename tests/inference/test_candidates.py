"""The choice among compiled forms, with real processes."""

import dataclasses
import functools
import pathlib
import re

import pytest

from tests.inference.small_classifier import FUNCTION, GRAPH, INT8, build_of, compared, comparison, load_model
from tfperf import spec
from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import TfperfError, UnfitSampleError
from tfperf.inference import candidates
from tfperf.inference.candidate_build import BuiltCandidate
from tfperf.inference.comparison_samples import ComparisonSamples
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine

TOKENS = (Tensor(name="tokens", shape=(None,)),)


@pytest.mark.slow
def test_takes_the_best_and_says_why_not_the_others(tmp_path: pathlib.Path) -> None:
    said: list[str] = []
    several = comparison(tmp_path, scenario=spec.Offline(), batch_sizes=(1, 4), considered=(GRAPH, "graph-float16"))
    choice = candidates.choose(several, on_progress=said.append)
    rows = {row.executable: row for row in choice.candidates}
    assert list(rows) == [FUNCTION, GRAPH, "graph-float16"]
    assert [row.executable for row in choice.candidates if row.status == "chosen"] == [choice.executable]
    assert rows["graph-float16"].status == "unavailable"
    assert rows["graph-float16"].reason == "float16 is computed by GPUs, and no NVIDIA GPU is visible here"
    (other,) = {FUNCTION, GRAPH} - {choice.executable}
    assert rows[other].status == "measured"
    assert rows[other].reason.endswith(f"times as long as {choice.executable}")
    assert rows[GRAPH].agreement == 1 and rows[GRAPH].quality == rows[FUNCTION].quality
    assert (rows[GRAPH].memory_bytes or 0) > 10**8
    assert choice.buckets == (Bucket(1), Bucket(4)) and set(rows[GRAPH].latency_ns) == {"1", "4"}
    assert said[:3] == [f"{FUNCTION}: {step}" for step in ("building", "opening", "measuring batches of 1")]
    assert [path.name for path in tmp_path.iterdir()] == [choice.executable]


@pytest.mark.slow
def test_a_form_whose_process_dies_is_a_row(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=1, calls=tmp_path / "calls", failure="killed")
    choice = candidates.choose(comparison(tmp_path / "forms", compared(load), considered=(GRAPH,)))
    assert choice.executable == FUNCTION
    assert [(row.status, row.reason) for row in choice.candidates] == [
        ("chosen", ""),
        ("unavailable", "its process was killed by SIGKILL, as the system does when memory runs out"),
    ]


def test_a_form_that_does_not_fit_into_memory_is_not_started(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfperf.system.memory.available_bytes", lambda: 1_200_000_000)
    heavy = dataclasses.replace(compared(), weights_bytes=10**8)
    with pytest.raises(TfperfError) as raised:
        candidates.choose(comparison(tmp_path, heavy, executable=GRAPH))
    assert str(raised.value) == (
        "graph-float32 isn't available: it takes about 2.5 GB of memory, 1.2 GB are available."
    )


def test_the_plain_function_is_required(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=0, calls=tmp_path / "calls", failure="raised")
    with pytest.raises(TfperfError, match=r"can't be served in float32.*: RuntimeError: no such layer"):
        candidates.choose(comparison(tmp_path / "forms", compared(load), considered=(GRAPH,)))


def test_does_not_take_an_inaccurate_form(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(comparison(tmp_path, compared(share=2.0), considered=(INT8,)))
    (_, row) = choice.candidates
    assert choice.executable == FUNCTION
    assert row.status == "inaccurate"
    assert re.fullmatch(
        r"it loses \S+ of the quality on 16 calibration samples, at least \S+ with 95% confidence, but only \S+ may be "
        "lost",
        row.reason,
    )


@pytest.mark.slow
def test_takes_the_requested_form_though_it_is_inaccurate(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(comparison(tmp_path, compared(share=2.0), executable=INT8))
    assert [(row.executable, row.status) for row in choice.candidates] == [(FUNCTION, "measured"), (INT8, "chosen")]


def test_refuses_a_requested_form_that_is_not_available(tmp_path: pathlib.Path) -> None:
    assert machine.offered("graph-float16") is not None
    with pytest.raises(TfperfError, match="graph-float16 isn't available: float16 is computed by GPUs"):
        candidates.choose(comparison(tmp_path, executable="graph-float16"))


def test_one_form_in_float32_needs_no_calibration_samples(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(comparison(tmp_path, compared(calibration=0), executable=FUNCTION))
    (row,) = choice.candidates
    assert (row.status, row.quality, row.agreement) == ("chosen", None, None)
    assert choice.buckets == (Bucket(1),)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [(0, "There are no calibration samples.* Set executable to one form in float32"), (1, "2 or more; got 1")],
)
def test_refuses_to_compare_on_nothing(calibration: int, message: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(TfperfError, match=message):
        candidates.choose(comparison(tmp_path, compared(calibration=calibration)))


@pytest.mark.parametrize(
    ("calibration", "form", "sample"), [(32, "auto", "Sample 0 of the calibration set"), (0, FUNCTION, "Sample 0")]
)
def test_refuses_samples_that_do_not_fit_the_model_before_anything_is_built(
    calibration: int, form: str, sample: str, tmp_path: pathlib.Path
) -> None:
    task = dataclasses.replace(compared().task, inputs=lambda options: TOKENS, lengths=(2, 4))
    model = dataclasses.replace(compared(calibration=calibration), task=task)
    with pytest.raises(UnfitSampleError) as raised:
        candidates.choose(comparison(tmp_path, model, executable=form))
    assert str(raised.value) == (
        f"{sample} has length 8, and the largest length that the model is compiled for is 4. Add a larger one to the "
        "`lengths` of the benchmark's InferenceTask, or truncate samples in its `open_samples`."
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("times", "again"),
    [
        ({FUNCTION: (9e6, 4), GRAPH: (5e6, 4), INT8: (4e6, 4)}, [INT8, GRAPH]),
        ({FUNCTION: (8e6, 4), GRAPH: (5e6, 4), INT8: (4e6, 4)}, [INT8, GRAPH, FUNCTION]),
        ({FUNCTION: (8e6, 9), GRAPH: (5e6, 9), INT8: (4e6, 9)}, [INT8, GRAPH]),
        ({FUNCTION: (9e6, 4), GRAPH: (9e6, 4), INT8: (4e6, 4)}, []),
        ({FUNCTION: (5e6, 30), GRAPH: (5e6, 30), INT8: (4e6, 30)}, []),
    ],
)
def test_measures_the_best_forms_again_as_far_as_the_time_allows(
    times: dict[str, tuple[float, float]], again: list[str], tmp_path: pathlib.Path
) -> None:
    judged = known(tmp_path, times)
    builds = [dataclasses.replace(build_of(tmp_path, load_model), form=form) for form in times]
    assert [build.form for build in judged._close(builds)] == again


@pytest.mark.parametrize(
    ("confirmed", "ranked", "reasons"),
    [
        (True, (INT8, GRAPH), ("takes 2.25 times as long as litert-int8", "")),
        (False, (GRAPH,), ("takes 1.80 times as long as graph-float32", "its accuracy is not proven")),
    ],
)
def test_takes_an_unproven_form_only_if_its_accuracy_will_be_measured(
    confirmed: bool, ranked: tuple[str, ...], reasons: tuple[str, str], tmp_path: pathlib.Path
) -> None:
    judged = known(tmp_path, {FUNCTION: (9e6, 1), GRAPH: (5e6, 1), INT8: (4e6, 1)}, confirmed=confirmed)
    judged._judge.unproven[INT8] = "its accuracy is not proven"
    assert judged.ranked() == ranked
    assert tuple(judged.candidate(form, chosen=ranked[0]).reason for form in (FUNCTION, INT8)) == reasons


XLA = "xla-float32"


def test_with_several_lengths_what_is_compiled_for_each_comes_last_and_has_a_rival(tmp_path: pathlib.Path) -> None:
    builds = [dataclasses.replace(build_of(tmp_path, load_model), form=form) for form in (FUNCTION, XLA, GRAPH)]
    ordered = [[build.form for build in candidates._in_order(builds, several_lengths=several)] for several in (0, 1)]
    assert ordered == [[FUNCTION, XLA, GRAPH], [FUNCTION, GRAPH, XLA]]
    judged = known(tmp_path, {FUNCTION: (9e6, 1), GRAPH: (5e6, 1)})
    rival = judged._rival(XLA)
    assert rival is not None and (rival.form, rival.execution_ns) == (GRAPH, {Bucket(1): 5e6})
    assert judged._rival(INT8) is None
    judged._comparison = dataclasses.replace(judged._comparison, executable=XLA)
    assert judged._rival(XLA) is None, "a form that was asked for is measured at every length"


def test_a_form_that_was_measured_no_further_is_a_row_that_says_so(tmp_path: pathlib.Path) -> None:
    judged = known(tmp_path, {FUNCTION: (9e6, 1), GRAPH: (5e6, 1)})
    slow = dataclasses.replace(judged.built[GRAPH], much_slower="takes 2.00 times as long as another at length 8")
    judged.built[XLA] = slow
    assert judged.ranked() == (GRAPH, FUNCTION)[:1]
    row = judged.candidate(XLA, chosen=GRAPH)
    assert (row.status, row.reason) == ("measured", "takes 2.00 times as long as another at length 8")


def test_a_second_process_takes_in_what_the_first_left_out() -> None:
    def built(useful: dict[int, float], too_long: dict[int, float]) -> BuiltCandidate:
        times = ({Bucket(batch): time_ns for batch, time_ns in some.items()} for some in (useful, too_long))
        return BuiltCandidate(execution_ns=next(times), too_long_ns=next(times), memory_bytes=1, reopening_s=1)

    first, second = built({1: 3.0, 2: 5.0}, {4: 90.0}), built({1: 4.0, 2: 4.0, 4: 7.0}, {8: 12.0})
    merged = built({1: 3.0, 2: 4.0, 4: 7.0}, {8: 12.0})
    assert candidates._better(first, second) == candidates._better(second, first) == merged


def known(
    directory: pathlib.Path, times: dict[str, tuple[float, float]], *, confirmed: bool = True
) -> candidates._Candidates:
    """Candidates that were built: form -> its time in ns for one sample, and the seconds that it takes to reopen."""
    nothing = ComparisonSamples(timed=(), length_indices=())
    judged = candidates._Candidates(comparison(directory, confirmed=confirmed), nothing, lambda text: None)
    judged.built = {
        form: BuiltCandidate(execution_ns={Bucket(1): time_ns}, memory_bytes=1, reopening_s=reopening_s)
        for form, (time_ns, reopening_s) in times.items()
    }
    return judged
