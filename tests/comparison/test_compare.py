"""Runs are held against each other: accuracy first, then figures, and never what can't be compared."""

import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.comparison.written_runs import write_run, write_side
from tfperf import result
from tfperf.cli import compare as cli_compare
from tfperf.cli import main
from tfperf.comparison import html_view, views
from tfperf.comparison.compare import compare
from tfperf.errors import UsageError


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    return write_side(tmp_path_factory.mktemp("baseline"), latency_ms=1.0, seed=0)


@pytest.mark.parametrize(
    ("latency_ms", "verdict", "code"), [(1.0, "UNCHANGED", 0), (1.2, "REGRESSION", 5), (0.8, "IMPROVED", 0)]
)
def test_five_runs_a_side_get_a_verdict_and_its_exit_code(
    latency_ms: float, verdict: str, code: int, baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    found = compare(baseline, write_side(tmp_path, latency_ms=latency_ms, seed=100))
    assert (found.verdict, found.exit_code) == (verdict, code)
    (p99,) = (each for each in found.figures if each.judged.metric.name == "p99")
    assert p99.judged.ratio == pytest.approx(latency_ms, rel=0.03)
    (rate,) = (each for each in found.figures if each.judged.metric.name == "throughput")
    assert rate.judged.ratio == pytest.approx(1 / latency_ms, rel=0.03)


def test_one_run_a_side_is_suspect_at_most(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    found = compare(baseline[:1], [write_run(tmp_path / "slow", latency_ms=2, seed=9)])
    assert (found.verdict, found.exit_code) == ("SUSPECT", 7)


def test_a_faster_run_that_misses_its_target_is_no_improvement(
    baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    missed = result.Quality(metric="accuracy", value=0.7, target=0.79, reached=False)
    fast = write_side(tmp_path, latency_ms=0.5, seed=50, accuracy=missed, valid=False, reasons=("accuracy is 0.7000",))
    found = compare(baseline, fast)
    assert (found.verdict, found.exit_code, found.figures) == ("TARGET MISSED", 4, ())
    assert found.reasons[0] == "0: accuracy is 0.7000"
    assert compare(baseline, fast, allow=["missed"]).verdict == "IMPROVED"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"benchmark": "resnet50"}, "they are of different benchmarks: resnet50, resnet50_mini."),
        ({"scenario": "Server"}, "they are of different scenarios: Server, SingleStream."),
        ({"division": "closed"}, "they are of different divisions: closed, open."),
        ({"division": "internal"}, "is internal: its division is internal. To use it as candidate, pass --allow=inter"),
        ({"status": "incomplete", "valid": False, "reasons": ("interrupted",)}, "is incomplete: interrupted."),
        ({"config": {"executable": "graph-float32", "threads": 1}}, "  - config.threads: 2 -> 1\n"),
    ],
)
def test_unlike_runs_are_refused(
    edit: dict[str, Any], message: str, baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(UsageError) as caught:
        compare(baseline, [write_run(tmp_path / "other", edit=edit)])
    assert message in str(caught.value)


def test_an_invalid_run_is_no_baseline_and_as_candidate_the_outcome(
    baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    late = write_run(tmp_path / "late", edit={"status": "invalid", "valid": False, "reasons": ("too late",)})
    with pytest.raises(UsageError, match=r"is INVALID: too late. To use it as baseline, pass --allow=invalid."):
        compare([late], baseline)
    found = compare(baseline, [late])
    assert (found.verdict, found.exit_code, found.reasons) == ("INVALID", 3, ("late: too late",))


def test_an_edited_run_and_a_copy_are_refused(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    copy = pathlib.Path(shutil.copytree(baseline[0], tmp_path / "copy"))
    with pytest.raises(UsageError, match=r"copy is a copy of .*Each run counts once"):
        compare(baseline, [copy])
    content = json.loads((copy / "result.json").read_text(encoding="utf-8"))
    content["latency_ns"]["p99"] /= 2
    (copy / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageError, match=r"copy is edited: result.json was changed"):
        compare(baseline[1:], [copy])


def test_a_clock_that_was_set_back_is_a_flaw(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    run = write_run(tmp_path / "run", seed=7)
    (run / "events.jsonl").write_text('{"time_s": 1000.0}\n{"time_s": 400.0}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"the clock was set back by 600.0 s during the run"):
        compare(baseline, [run])


def test_a_declared_change_is_compared(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    other = write_side(tmp_path, latency_ms=1.0, seed=60, config={"executable": "graph-float32", "threads": 1})
    found = compare(baseline, other, changes=["config.threads"])
    assert [(each.key, each.declared) for each in found.differences] == [("config.threads", True)]
    with pytest.raises(UsageError, match=r"--change=treads names nothing in these runs"):
        compare(baseline, other, changes=["treads"])


def test_gates_and_thresholds_are_the_users(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    slow = write_side(tmp_path, latency_ms=1.2, seed=100)
    assert compare(baseline, slow, gates=["p50"], thresholds={"p50": 0.5}).verdict == "UNCHANGED"
    with pytest.raises(UsageError, match=r"--gate p98: not every run has this figure. Accepted: p50, p95, p99, thr"):
        compare(baseline, slow, gates=["p98"])
    with pytest.raises(UsageError, match=r"must be between 0 and 1. Write 0.1 for 10 %"):
        compare(baseline, slow, thresholds={"p99": 10})


def test_views_name_the_verdict(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    found = compare(baseline, write_side(tmp_path, latency_ms=1.2, seed=100))
    shown = views.text(found)
    assert shown.startswith("REGRESSION: open resnet50_mini SingleStream, 5 against 5 runs. Not verified by MLCommons.")
    assert "  candidate  ." in shown
    suite = ElementTree.fromstring(views.junit(found))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    assert views.github(found).startswith("::error title=tfperf REGRESSION::REGRESSION: open ")
    assert "| p99\\* | ms |" in views.markdown(found)
    assert json.loads(json.dumps(found.as_dict()))["exit_code"] == 5


def test_the_page_draws_every_run(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    found = compare(baseline, write_side(tmp_path, latency_ms=1.2, seed=100))
    page = html_view.page(found, made="by <a test>")
    assert page.count('class="dot"') == 2 * 10  # of both figures that decide
    assert '<span class="bad">REGRESSION: open resnet50_mini SingleStream, 5 against 5 runs.' in page
    assert "by &lt;a test&gt;" in page and "<script" not in page


def test_the_command_line_splits_the_sides() -> None:
    words = cli_compare.words(["a", "b", "--", "c"])
    assert cli_compare.sides(words) == ([pathlib.Path("a"), pathlib.Path("b")], [pathlib.Path("c")])
    assert cli_compare.sides(["a", "b"]) == ([pathlib.Path("a")], [pathlib.Path("b")])
    with pytest.raises(UsageError, match=r"compare needs two sides, got a. Write tfperf compare BASELINE"):
        cli_compare.sides(["a"])
    assert "compare" in main.VERBS


def test_a_folder_without_a_result_is_named(baseline: Sequence[pathlib.Path], tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"has no result.json, so it is not a run directory"):
        compare(baseline, [tmp_path])
    with pytest.raises(UsageError, match=r"is not a run directory. Pass directories that tfperf train or infer made"):
        compare(baseline, [tmp_path / "none"])
