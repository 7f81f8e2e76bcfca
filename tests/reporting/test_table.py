"""Tests of results as plain text."""

import dataclasses
import pathlib

import pytest

from tfperf import result
from tfperf.reporting import table

VALID = result.TrainResult(
    benchmark="resnet50",
    division="open",
    valid=True,
    reasons=(),
    closed_eligible=False,
    closed_ineligible_because=(
        "optimizer sgd: momentum 0.95, the rules allow 0.9",
        "caches were not dropped before the run",
    ),
    status="success",
    config={},
    environment={},
    time_to_train_s=5293.894,
    run_s=5293.894,
    quality=result.Quality(metric="accuracy", value=0.75952, target=0.759, reached=True),
    epochs=39,
    examples_per_s=9876.5,
    measurements=(
        result.Measurement(name="peak memory", value=2345.6, unit="MiB"),
        result.Measurement(name="evaluation time", value=12.3456, unit="s"),
    ),
)
RUN_DIR = pathlib.Path("runs/20260102T030405Z-resnet50-abcdef")


def test_a_valid_open_run_says_what_it_is_and_why_it_is_not_closed():
    assert table.train_table(VALID, run_dir=RUN_DIR) == (
        "VALID open run of resnet50, not verified by MLCommons\n"
        "\n"
        "time to train    5,293.89 s (88.23 minutes)\n"
        "accuracy         0.7595 (target 0.7590): reached\n"
        "epochs           39\n"
        "examples/s       9,876\n"
        "division         open\n"
        "closed-eligible  no\n"
        "                 - optimizer sgd: momentum 0.95, the rules allow 0.9\n"
        "                 - caches were not dropped before the run\n"
        "peak memory      2,346 MiB\n"
        "evaluation time  12.35 s\n"
        "run directory    runs/20260102T030405Z-resnet50-abcdef"
    )


def test_an_invalid_run_says_so_first_and_quotes_no_time_to_train():
    missed = dataclasses.replace(
        VALID,
        valid=False,
        status="aborted",
        closed_ineligible_because=VALID.closed_ineligible_because[1:],
        reasons=("the target was missed: accuracy 0.61 after 40 epochs, the target is 0.759",),
        time_to_train_s=None,
        quality=result.Quality(metric="accuracy", value=0.61, target=0.759, reached=False),
        epochs=40,
        examples_per_s=None,
        measurements=(),
    )

    assert table.train_table(missed, run_dir=RUN_DIR) == (
        "INVALID open run of resnet50, target missed, not verified by MLCommons\n"
        "  - the target was missed: accuracy 0.61 after 40 epochs, the target is 0.759\n"
        "\n"
        "time to train    -- (5,293.89 s on the clock)\n"
        "accuracy         0.6100 (target 0.7590): missed\n"
        "epochs           40\n"
        "examples/s       --\n"
        "division         open\n"
        "closed-eligible  no\n"
        "                 - caches were not dropped before the run\n"
        "run directory    runs/20260102T030405Z-resnet50-abcdef"
    )


def test_an_interrupted_run_has_not_missed_its_target():
    quality = result.Quality(metric="accuracy", value=0.61, target=0.759, reached=False)
    stopped = dataclasses.replace(VALID, valid=False, status="aborted", reasons=("interrupted",), quality=quality)

    assert table.verdict(stopped) == "INVALID open run of resnet50, aborted, not verified by MLCommons"


def test_a_run_that_reached_its_target_and_failed_otherwise_quotes_no_time_to_train():
    failed = dataclasses.replace(VALID, valid=False, reasons=("3 corrupt images were skipped",), measurements=())

    assert table.train_table(failed, run_dir=RUN_DIR).splitlines()[:4] == [
        "INVALID open run of resnet50, not verified by MLCommons",
        "  - 3 corrupt images were skipped",
        "",
        "time to train    -- (5,293.89 s on the clock)",
    ]


def test_an_internal_run_says_that_it_can_not_be_submitted():
    internal = dataclasses.replace(VALID, division="internal", measurements=())

    assert table.train_table(internal, run_dir=RUN_DIR).splitlines()[0] == (
        "VALID internal run of resnet50, not verified by MLCommons"
    )
    assert ("division", "internal: not an MLPerf result, can't be submitted or packaged") in table.train_facts(internal)


def test_a_closed_eligible_run_says_yes():
    closed = dataclasses.replace(VALID, division="closed", closed_eligible=True, closed_ineligible_because=())

    assert ("closed-eligible", "yes") in table.train_facts(closed)


def test_a_run_without_reason_or_evaluation_is_explained_by_its_quality():
    quality = result.Quality(metric="accuracy", value=None, target=0.759, reached=False)
    stopped = dataclasses.replace(VALID, valid=False, status="aborted", reasons=(), quality=quality)

    assert table.invalid_because(stopped) == ("accuracy -- (target 0.7590): never evaluated",)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.758999, "0.758999"), (0.75896, "0.75896"), (0.759, "0.7590"), (0.75904, "0.75904"), (0.76, "0.7600")],
)
def test_rounding_never_hides_on_which_side_of_the_target_a_value_lies(value, text):
    assert table.decimals(value, beside=0.759) == text


def test_neighbouring_floats_stay_different():
    assert table.decimals(0.7589999999999999, beside=0.759) == "0.7589999999999999"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00012345, "0.0001234"), (3.14159, "3.142"), (999.94, "999.9"), (1234567.8, "1,234,568")],
)
def test_numbers_are_short(value, text):
    assert table.number(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0:00"), (9.9, "0:09"), (61, "1:01"), (3600, "1:00:00")])
def test_spans_read_like_a_clock(seconds, text):
    assert table.clock(seconds) == text


def test_columns_are_aligned_numbers_to_the_right():
    headers = ["benchmark", "examples", "target", "note"]
    rows = [["resnet50", "1,281,167", "0.759", ""], ["resnet50_mini", "4,096", "0.9", "on a laptop"]]

    assert table.columns(headers, rows) == (
        "benchmark       examples  target  note\n"
        "resnet50       1,281,167   0.759\n"
        "resnet50_mini      4,096     0.9  on a laptop"
    )


def test_columns_without_rows_are_headers():
    assert table.columns(["name", "value"], []) == "name  value"


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError) as failure:
        table.columns(["name", "value"], [["a", "1"], ["b"]])

    assert str(failure.value) == "rows must have 2 cells, one for each of ['name', 'value'], got ['b']."


def test_what_is_not_known_does_not_move_a_column_of_numbers():
    assert table.columns(["ms", "why"], [["1.25", "--"], ["--", "--"]]) == "  ms  why\n1.25  --\n  --  --"


def test_a_run_without_a_target_is_timed_and_not_invalid() -> None:
    quality = result.Quality(metric="accuracy", value=0.5, target=None, reached=False)
    outcome = dataclasses.replace(
        VALID, valid=False, quality=quality, reasons=(result.TIMED_ONLY,), division="internal", status="aborted"
    )
    assert table.verdict(outcome) == "TIMED internal run of resnet50 without a target, not verified by MLCommons"
