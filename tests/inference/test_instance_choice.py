"""The choice of instances and threads by measurement."""

import pathlib
from collections.abc import Callable

import pytest

from tests.inference.small_classifier import comparison
from tfperf import spec
from tfperf.inference import candidate_build, instance_choice
from tfperf.inference.candidate_build import BuiltCandidate, CandidateBuild
from tfperf.inference.chosen_form import ChosenForm
from tfperf.inference.executable import Bucket
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.instance_choice import Layout

BUILD = CandidateBuild(
    form="litert-float32",
    directory=pathlib.Path(),
    load_model=None,
    inputs=(),
    outputs=(),
    timed=pathlib.Path("timed"),
    buckets=(Bucket(1), Bucket(4)),
    longest_ns=None,
    threads=4,
)


@pytest.mark.parametrize(
    ("cores", "threads", "expected"),
    [
        (1, None, [(1, 1)]),
        (2, None, [(1, 2), (2, 1)]),
        (6, None, [(1, 6), (2, 3), (4, 1), (6, 1)]),
        (8, 2, [(1, 2), (2, 2), (4, 2)]),
        (2, 4, [(1, 4)]),
    ],
)
def test_shares_the_cores_among_1_2_4_instances(cores, threads, expected):
    assert list(instance_choice.layouts(cores=cores, threads=threads)) == expected


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Layout]]:
    """Replaces the measurements by times per sample in ns, the next of a layout each time; lists what was measured."""

    def replace(times: dict[tuple[int, int], list[float | str]]) -> list[Layout]:
        measured: list[Layout] = []

        def run(build: CandidateBuild, **options: object) -> BuiltCandidate:
            layout = Layout(build.instances, build.threads)
            measured.append(layout)
            time_ns = times[layout].pop(0)
            if isinstance(time_ns, str):
                raise UnavailableError(time_ns)
            execution_ns = {Bucket(batch): batch * time_ns for batch in (1, 4)}
            return BuiltCandidate(execution_ns=execution_ns, memory_bytes=1, reopening_s=1.0)

        monkeypatch.setattr(candidate_build, "run", run)
        return measured

    return replace


def test_takes_the_layout_with_the_most_samples_per_second(measuring):
    measured = measuring({(1, 4): [1e6, 1e6], (2, 2): [1.5e6, 1.6e6], (4, 1): [3.5e6]})
    found = instance_choice.choose(BUILD, scenario=spec.Offline(), cores=4, threads=None)
    assert found.layout == (2, 2)
    assert found.execution_ns == {Bucket(1): 1.5e6, Bucket(4): 6e6}
    assert found.note == (
        "instances x threads were chosen by measurement: 2 x 2 (1 x 4: 1,000 samples/s, 2 x 2: 1,333 samples/s, "
        "4 x 1: 1,143 samples/s)"
    )
    assert measured == [(1, 4), (2, 2), (4, 1), (2, 2), (1, 4)]


def test_one_disturbed_measurement_does_not_decide(measuring):
    measuring({(1, 2): [3e6, 1e6], (2, 1): [2e6, 2e6]})
    assert instance_choice.choose(BUILD, scenario=spec.Offline(), cores=2, threads=None).layout == (1, 2)


def test_a_gain_within_the_noise_is_not_worth_the_memory(measuring):
    measuring({(1, 2): [1e6, 1e6], (2, 1): [1.96e6, 1.96e6]})
    assert instance_choice.choose(BUILD, scenario=spec.Server(), cores=2, threads=None).layout == (1, 2)


def test_says_which_layout_failed_and_leaves_out_what_does_not_fit(measuring):
    measured = measuring({(1, 4): [1e6], (2, 2): ["out of memory."]})
    found = instance_choice.choose(
        BUILD, scenario=spec.Offline(), cores=4, threads=None, fits=lambda layout: layout.instances < 4
    )
    assert found.note.endswith("1 x 4 (1 x 4: 1,000 samples/s, 2 x 2: out of memory)")
    assert measured == [(1, 4), (2, 2)]


def test_fails_where_nothing_can_be_measured(measuring):
    measuring({(1, 2): ["broken"], (2, 1): ["broken, too"]})
    with pytest.raises(UnavailableError, match="broken; broken, too"):
        instance_choice.choose(BUILD, scenario=spec.Offline(), cores=2, threads=None)


def test_a_chosen_form_gets_the_best_layout_only_if_instances_are_left_open(measuring, tmp_path, monkeypatch):
    monkeypatch.setattr("tfperf.system.devices.usable_cores", lambda: 2)
    measuring({(1, 2): [2e6, 2e6], (2, 1): [3e6, 3e6]})
    chosen = ChosenForm(
        executable="litert-float32",
        directory=tmp_path,
        candidates=(),
        execution_ns={Bucket(1): 1e6},
        threads=2,
        notes=("a note",),
    )
    found = instance_choice.with_instances(comparison(tmp_path, scenario=spec.Offline(), instances="auto"), chosen)
    assert (found.instances, found.threads, found.execution_ns) == (2, 1, {Bucket(1): 3e6, Bucket(4): 12e6})
    assert found.notes == ("a note", found.notes[1])
    assert found.notes[1].startswith("instances x threads were chosen by measurement: 2 x 1 (")
    assert instance_choice.with_instances(comparison(tmp_path, instances=1), chosen) is chosen
