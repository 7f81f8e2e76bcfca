"""The files of a training's run directory must agree."""

import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import pytest

import tfperf
from tfperf import manifest
from tfperf.compliance import checker
from tfperf.compliance.verdict import Verdict

WriteRun = Callable[..., pathlib.Path]


@pytest.fixture
def write_run(tmp_path: pathlib.Path) -> WriteRun:
    """Writes the run directory of a custom loop."""

    def write(*, qualities: tuple[float, ...] = (0.5, 0.95), **options: Any) -> pathlib.Path:
        with tfperf.measure(tmp_path / "run", **{"target": 0.9, "global_batch_size": 8, **options}) as run:
            run.start()
            time.sleep(0.002)  # the log counts milliseconds, and a run takes time
            for quality in qualities:
                run.step_end()
                run.step_end(logs={"loss": float("nan")})
                run.evaluated(quality)
        return tmp_path / "run"

    return write


def _check(run_dir: pathlib.Path) -> Verdict:
    (verdict,) = checker.check(run_dir)
    return verdict


def _messages(run_dir: pathlib.Path, *, bound: bool = True) -> list[str]:
    """What is wrong; `bound` writes the manifest anew, so that it can't show it."""
    if bound:
        manifest.write(run_dir, division="internal", code_version="0")
    return [violation.message for violation in _check(run_dir).violations]


def _edit(run_dir: pathlib.Path, **changes: Any) -> None:
    path = run_dir / "result.json"
    fields = json.loads(path.read_text())
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            fields[outer][inner] = value
        else:
            fields[outer] = value
    path.write_text(json.dumps(fields))


def test_a_whole_run_is_good(write_run: WriteRun) -> None:
    run_dir = write_run()
    assert _check(run_dir).good, _check(run_dir)
    assert _messages(run_dir, bound=False) == []


@pytest.mark.parametrize(
    "options",
    [
        {"qualities": (0.5, float("nan"))},
        {"qualities": ()},
        {"monitor": "loss", "target": 0.1},
    ],
)
def test_a_run_that_missed_has_no_other_fault(write_run: WriteRun, options: dict[str, Any]) -> None:
    assert _messages(write_run(**options), bound=False) == ["The run ended with status 'aborted', not 'success'."]


def test_a_run_without_a_target_has_no_fault(write_run: WriteRun) -> None:
    verdict = _check(write_run(target=None))
    assert (verdict.structure, verdict.target, verdict.good) == ("ok", None, True)


def test_a_target_from_above_is_reached(write_run: WriteRun) -> None:
    assert _check(write_run(monitor="loss", target=1.0)).good


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_to_train_s": 900.0}, "result.json says time_to_train_s 900.0; the log gives "),
        ({"run_s": 900.0}, "result.json says run_s 900.0; the log gives "),
        ({"time_to_train_s": None}, "result.json says time_to_train_s none; the log gives "),
        ({"quality__value": 0.99}, "result.json says quality.value 0.99; the log gives 0.95."),
        ({"quality__target": 0.99}, "result.json says quality.target 0.99; the log gives 0.9."),
        ({"quality__reached": False}, "result.json says quality.reached false; the log gives true."),
        ({"epochs": 1}, "result.json says epochs 1; the log gives 2."),
        ({"epochs": "two"}, "result.json can't be read: "),
        ({"division": "open"}, 'result.json says division "open"; the log gives "internal".'),
        ({"status": "aborted"}, 'result.json says status "aborted"; the log gives "success".'),
        ({"config__global_batch_size": 16}, "result.json says global_batch_size 16; the log says 8."),
        ({"valid": False, "reasons": ["it was restored"]}, "The run itself says: it was restored."),
        ({"run_s": "long"}, "result.json can't be read: "),
        ({"schema": 2}, "result.json can't be read: "),
        ({"kind": "sweep"}, "result.json can't be read: "),
    ],
)
def test_a_result_that_differs_from_the_log_is_a_violation(
    write_run: WriteRun, changes: dict[str, Any], message: str
) -> None:
    run_dir = write_run()
    _edit(run_dir, **changes)
    (found,) = _messages(run_dir)
    assert found.startswith(message)
    assert not _check(run_dir).good


def _write_log(run_dir: pathlib.Path, *events: tuple[float, str, Any, dict[str, Any]]) -> None:
    """A log in place of that of the run; each event has its second, key, value and metadata."""
    head = [(0.0, "submission_benchmark", "custom", {}), (0.0, "submission_division", "internal", {})]
    lines = [
        {"key": key, "value": value, "metadata": metadata, "time_ms": 1_800_000_000_000 + at_s * 1000}
        for at_s, key, value, metadata in (*head, *events)
    ]
    (run_dir / "mllog.txt").write_text("".join(f":::MLLOG {json.dumps(line)}\n" for line in lines))


@pytest.mark.parametrize(
    ("epoch_s", "examples_per_s", "differs"),
    [
        (10.0, 40.0, False),
        (10.0, 39.0, False),
        (10.0, 41.0, False),
        (10.0, 37.0, True),
        (10.0, 43.0, True),
        (10.0, 0.0, True),
        (10.0, None, True),
        (0.1, 2000.0, False),  # a busy machine may stop the process for that long between the two clocks
        (0.1, 800.0, True),
    ],
)
def test_a_speed_that_the_log_can_not_show_is_a_violation(
    write_run: WriteRun, epoch_s: float, examples_per_s: float | None, differs: bool
) -> None:
    run_dir = write_run()
    (run_dir / "spec.yaml").write_text("benchmark: custom\n")  # as `tfperf train` writes it
    _write_log(
        run_dir,
        (0.0, "global_batch_size", 8, {}),
        (0.0, "run_start", None, {}),
        (0.0, "epoch_start", None, {"epoch_num": 1}),
        (epoch_s, "epoch_stop", None, {"epoch_num": 1}),
        (epoch_s, "epoch_start", None, {"epoch_num": 2}),
        (2 * epoch_s, "epoch_stop", None, {"epoch_num": 2}),
        (2 * epoch_s, "eval_accuracy", 0.95, {"epoch_num": 2, "step": 100}),
        (2 * epoch_s, "run_stop", None, {"status": "success"}),
    )
    _edit(run_dir, examples_per_s=examples_per_s)
    found = [text for text in _messages(run_dir) if text.startswith("result.json says examples_per_s ")]
    assert bool(found) == differs


@pytest.mark.parametrize(("samples", "per_epoch"), [(float("inf"), 64), (float("nan"), 64), (1e308, 5e-324)])
def test_a_number_of_samples_that_can_not_be_one_makes_no_traceback(
    write_run: WriteRun, samples: float, per_epoch: float
) -> None:
    run_dir = write_run()
    _write_log(
        run_dir,
        (0.0, "train_samples", per_epoch, {}),
        (0.0, "run_start", None, {}),
        (1.0, "run_stop", None, {"status": "success", "epoch_num": samples}),
    )
    assert not _check(run_dir).good


def test_an_edited_log_is_a_violation(write_run: WriteRun) -> None:
    run_dir = write_run(qualities=(0.5, 0.6))
    log = run_dir / "mllog.txt"
    log.write_text(log.read_text().replace("0.6,", "0.96,").replace('"aborted"', '"success"'))
    _edit(run_dir, quality__value=0.96, quality__reached=True, status="success", valid=True, reasons=[])
    found = _messages(run_dir)
    assert found[0].startswith("mllog.txt has eval_accuracy 0.96 with ")
    assert "of events.jsonl has eval_accuracy 0.6 with " in found[0]


def test_a_log_that_was_shortened_is_a_violation(write_run: WriteRun) -> None:
    run_dir = write_run()
    path = run_dir / "events.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    (found,) = _messages(run_dir)
    assert found.startswith("mllog.txt has ")
    assert " events, events.jsonl has " in found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("manifest.json", "manifest.json: there is none, so nothing shows that the run wrote these files."),
        ("result.json", "There is no result.json, although the run ended."),
        ("events.jsonl", "There is no events.jsonl: the log can't be compared with the events of the run."),
    ],
)
def test_a_missing_file_is_a_violation(write_run: WriteRun, name: str, message: str) -> None:
    run_dir = write_run()
    (run_dir / name).unlink()
    assert _messages(run_dir, bound=name != "manifest.json") == [message]


@pytest.mark.parametrize("name", ["result.json", "mllog.txt", "environment.json"])
def test_any_edited_file_differs_from_the_manifest(write_run: WriteRun, name: str) -> None:
    run_dir = write_run()
    (run_dir / name).write_text((run_dir / name).read_text() + "\n")
    assert _messages(run_dir, bound=False) == [f"manifest.json: {name} was changed."]


@pytest.mark.parametrize("content", ["", "[]", "[1]", '{"files": 1}', "{", "\xff"])
@pytest.mark.parametrize("name", ["result.json", "events.jsonl", "manifest.json"])
def test_a_damaged_file_makes_no_traceback(write_run: WriteRun, name: str, content: str) -> None:
    run_dir = write_run()
    (run_dir / name).write_bytes(content.encode("latin-1"))
    assert not _check(run_dir).good


def test_a_log_alone_needs_nothing_beside_it(write_run: WriteRun, tmp_path: pathlib.Path) -> None:
    log = write_run().joinpath("mllog.txt").read_text()
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "mllog.txt").write_text(log)
    assert _check(tmp_path / "alone").good
