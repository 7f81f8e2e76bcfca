"""Runs on one page: verdicts first, figures with intervals, and nothing that the page would have to load."""

import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.comparison.written_runs import write_run, write_side
from tfperf import manifest, result
from tfperf.errors import UsageError
from tfperf.summary import leaderboard, plain, reported, sections, views

ROOT = pathlib.Path(__file__).parents[2]
MISSED = {
    "accuracy": result.Quality(metric="accuracy", value=0.7, target=0.79, reached=False),
    "valid": False,
    "reasons": ("accuracy is 0.7000",),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("runs")
    write_side(folder, latency_ms=1.0, seed=0, runs=3)
    write_run(folder / "other", latency_ms=2.0, seed=9, edit={"environment": {"cpu": "other", "cpu_logical_cores": 4}})
    write_run(folder / "missed", latency_ms=0.5, seed=5, edit=MISSED)
    (folder / "unfinished").mkdir()
    (folder / "unfinished" / "spec.yaml").write_text("benchmark: resnet50_mini\n", encoding="utf-8")
    return folder


class Page(html.parser.HTMLParser):
    """The tags of a page, in which every tag must be closed by its own."""

    VOID = ("meta", "line", "path")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data} "


def test_the_page_says_everything_and_loads_nothing(folder: pathlib.Path) -> None:
    shown = views.page(reported.collect([folder]), ranked=True, made="Made by a test.")
    page = Page(shown)
    assert [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe", "object", "use")] == []
    assert [name for _, attributes in page.tags for name in attributes if name in ("src", "href", "srcset")] == []
    assert "url(" not in shown and "@import" not in shown and "http" not in shown.replace("http-equiv", "")
    assert page.text.index("Verdicts") < page.text.index("Leaderboard") < page.text.index("Figures of")
    for expected in ("TARGET MISSED", "accuracy is 0.7000", "geometric mean of 4", "latency (ms)", "skipped: "):
        assert expected in page.text
    assert len([tag for tag, _ in page.tags if tag == "path"]) == 4  # a latency curve of each run that counts


def test_text_of_runs_can_not_become_markup(tmp_path: pathlib.Path) -> None:
    bad = "<script>alert(1)</script>|*"
    edit = {"environment": {"cpu": bad, "platform": bad}, "reasons": (bad,), "valid": False}
    write_run(tmp_path / "run", edit=edit)
    runs = reported.collect([tmp_path / "run"])
    assert "<script" not in views.page(runs, ranked=True, made=bad)
    assert "<script" not in views.markdown(runs, ranked=True)
    rows = [line for line in views.markdown(runs, ranked=False).splitlines() if line.startswith("| INVALID")]
    assert len(re.split(r"(?<!\\)\|", rows[0])) == 7  # five cells


def test_figures_have_intervals_within_and_across_runs(folder: pathlib.Path) -> None:
    (group,) = reported.collect([folder]).groups
    found = sections.figures(group)
    assert found.headers == ("run", "p50 (ms)", "p95 (ms)", "p99 (ms)", "throughput (samples/s)")
    assert found.rows[-1][0] == "geometric mean of 4"
    assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", found.rows[-1][1])
    assert "1 runs that are not valid don't count in it." in found.note


def test_the_leaderboard_ranks_systems_by_runs_that_count(folder: pathlib.Path) -> None:
    (group,) = reported.collect([folder]).groups
    board = leaderboard.board(group)
    assert board is not None and board.kind.name == "p99"
    assert [(each.rank, each.runs, each.left_out) for each in board.standings] == [(1, 3, 1), (2, 1, 0)]
    assert board.standings[1].system == "4 cores of other"
    assert board.standings[1].behind == pytest.approx(2, rel=0.1)


def write_training(folder: pathlib.Path, *, seconds: float | None) -> pathlib.Path:
    folder.mkdir(parents=True)
    reached = seconds is not None
    outcome = result.TrainResult(
        benchmark="resnet50_mini",
        division="open",
        valid=reached,
        reasons=() if reached else (f"{result.MISSED}: accuracy 0.5",),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="success" if reached else "aborted",
        config={},
        environment={"cpu": "some", "cpu_logical_cores": 2},
        time_to_train_s=seconds,
        run_s=100.0,
        quality=result.Quality(metric="accuracy", value=0.8, target=0.8, reached=reached),
        epochs=4,
        examples_per_s=500.0,
    )
    result.write(folder / "result.json", outcome)
    manifest.write(folder, division="open", code_version="0.1.0 abc")
    return folder


def test_training_has_the_olympic_score(tmp_path: pathlib.Path) -> None:
    for number, seconds in enumerate((10.0, 30.0, 20.0, 24.0, 1000.0)):
        write_training(tmp_path / str(number), seconds=seconds)
    (group,) = reported.collect([tmp_path]).groups
    board = leaderboard.board(group)
    assert board is not None
    assert board.standings[0].olympic_s == pytest.approx((30 + 20 + 24) / 3)
    assert "olympic score (s)" in sections.standings(board).headers
    few = reported.ReportedGroup(label=group.label, runs=group.runs[:2])
    board = leaderboard.board(few)
    assert board is not None and board.standings[0].olympic_s is None


def test_the_json_holds_what_the_tables_hold(folder: pathlib.Path) -> None:
    found = json.loads(json.dumps(plain.as_dict(reported.collect([folder]), ranked=True)))
    assert [each["verdict"] for each in found["runs"]].count("VALID") == 4
    p99 = found["runs"][0]["figures"]["p99"]
    assert (p99["unit"], p99["value"]) == ("ms", pytest.approx(1.27, abs=0.1))
    assert found["leaderboards"][0]["standings"][0]["rank"] == 1


def test_an_edited_run_does_not_count(tmp_path: pathlib.Path) -> None:
    run = write_run(tmp_path / "run")
    content = json.loads((run / "result.json").read_text(encoding="utf-8"))
    content["latency_ns"]["p99"] /= 2
    (run / "result.json").write_text(json.dumps(content), encoding="utf-8")
    ((group,), _) = (reported.collect([tmp_path]).groups, None)
    assert (group.runs[0].verdict, group.runs[0].quotable) == ("EDITED", False)
    assert leaderboard.board(group) is None


def test_what_holds_no_run_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run directory. Pass directories that tfperf train or infer made"):
        reported.collect([tmp_path / "none"])
    (tmp_path / "open" / "run").mkdir(parents=True)
    (tmp_path / "open" / "run" / "spec.yaml").touch()
    with pytest.raises(UsageError, match=r"There is no finished run in (?s:.*)has no result.json: the run did not fin"):
        reported.collect([tmp_path / "open"])


def test_the_command_writes_a_file_and_overwrites_none(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def report(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tfperf", "report", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    shown = report(str(folder))
    assert shown.stdout.splitlines()[0] == "5 runs, 4 without objection. Results are not verified by MLCommons."
    assert report(str(folder), "--html=report.html").stdout == "The report is in report.html.\n"
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    again = report(str(folder), "--html=report.html")
    assert (again.returncode, "exists already. Choose another name, or pass --overwrite" in again.stderr) == (2, True)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == written
    assert "must be a file in a folder that exists" in report(str(folder), "--html=none/report.html").stderr
    assert "report needs run directories, or a folder of them." in report().stderr
