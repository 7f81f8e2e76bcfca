"""A directory is the store: its runs are listed in series; what is no part of a baseline is shown with its reason."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests import readmes
from tests.history.small_runs import START, served, trained
from tfperf.errors import UsageError
from tfperf.history import history, views
from tfperf.history.history import History

NOISE = (1.0, 1.01, 0.99, 1.005, 0.995, 1.002, 0.998, 1.004)
NOW_S = START.timestamp() + 1000 * 3600


def read(store: pathlib.Path, **more: object) -> History:
    return history.read(store, now_s=NOW_S, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: pathlib.Path) -> pathlib.Path:
    """Eight calm runs."""
    folder = tmp_path / "runs"
    for number, noise in enumerate(NOISE):
        served(folder, number, latency_ms=5 * noise)
    return folder


def test_runs_of_one_kind_make_a_series(store: pathlib.Path) -> None:
    trained(store, 20)
    served(store, 21, edit={"config": {"executable": "graph-float32", "threads": 1}})
    served(store, 22, edit={"environment": {"cpu": "other", "platform": "8 cores of other"}})
    found = read(store)
    assert [(each.key.scenario, each.key.system.partition(" #")[0], len(each.runs)) for each in found.series] == [
        ("SingleStream", "2 cores of some", 8),
        ("training", "2 cores of some", 1),
        ("SingleStream", "2 cores of some", 1),
        ("SingleStream", "8 cores of other", 1),
    ]
    band = found.series[0].figures["p99"].band
    assert band is not None
    assert band.low < 10 < band.high
    assert band.runs == 8


def test_a_step_is_a_change_of_level_and_an_alert(store: pathlib.Path) -> None:
    slow = [served(store, 10 + number, latency_ms=6 * noise) for number, noise in enumerate(NOISE[:4])]
    (series,) = read(store).series
    p99 = series.figures["p99"]
    assert [(each.path, round(each.ratio, 1), each.worse) for each in p99.changes] == [(slow[0].name, 1.2, True)]
    assert p99.alert == views.alert(series) == "confirmed"
    assert p99.worse == tuple(each.name for each in slow)
    served(store, 20, latency_ms=5)
    assert views.alert(read(store).series[0]) == "none"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"status": "invalid", "valid": False, "reasons": ("too late",)}, "INVALID: too late"),
        ({"status": "incomplete", "valid": False, "reasons": ("interrupted",)}, "incomplete: interrupted"),
        (
            {
                "valid": False,
                "reasons": ("accuracy 0.7",),
                "accuracy": {"metric": "accuracy", "value": 0.7, "target": 0.79, "reached": False, "mode": "max"},
            },
            "missed: accuracy 0.7",
        ),
    ],
)
def test_what_is_no_result_is_shown_and_no_part_of_the_baseline(
    edit: dict[str, object], told: str, store: pathlib.Path
) -> None:
    from tfperf import result

    if "accuracy" in edit:
        edit["accuracy"] = result.Quality(**edit["accuracy"])  # type: ignore[arg-type]
    served(store, 30, latency_ms=1, edit=edit)
    found = read(store)
    (series,) = found.series
    assert (len(series.runs), len(series.fit)) == (9, 8)
    assert told in views.text(found)
    flaw = told.partition(":")[0].lower()
    assert len(read(store, allow=(flaw,)).series[0].fit) == 9


def test_internal_runs_are_their_own_series_without_a_baseline(store: pathlib.Path) -> None:
    served(store, 30, edit={"division": "internal"})
    internal = read(store).series[-1]
    assert (internal.key.division, len(internal.runs), internal.fit, internal.figures) == ("internal", 1, (), {})
    assert len(read(store, allow=("internal",)).series[-1].fit) == 1


def test_an_edited_run_and_a_copy_do_not_count(store: pathlib.Path) -> None:
    runs = sorted(store.iterdir())
    read(store)
    content = json.loads((runs[0] / "result.json").read_text(encoding="utf-8"))
    content["latency_ns"]["p99"] /= 2
    (runs[0] / "result.json").write_text(json.dumps(content), encoding="utf-8")
    shutil.copytree(runs[1], store / "copy")
    found = read(store)
    (series,) = found.series
    assert (len(series.runs), len(series.fit)) == (9, 7)
    shown = views.text(found)
    assert "edited: result.json was changed" in shown
    assert "a copy of another run" in shown


def test_damaged_and_unfinished_runs_are_named_and_skipped(store: pathlib.Path) -> None:
    runs = sorted(store.iterdir())
    (runs[0] / "result.json").write_text('{"schema": 1, "kind"', encoding="utf-8")
    (runs[1] / "result.json").write_bytes(b"\xff\x00")
    (runs[2] / "result.json").unlink()
    (runs[2] / "manifest.json").unlink()
    found = read(store)
    assert [(each.path, each.state) for each in found.others] == [
        (runs[0].name, "damaged"),
        (runs[1].name, "damaged"),
        (runs[2].name, "unfinished"),
    ]
    assert len(found.series[0].runs) == 5
    shown = views.text(found)
    assert shown.startswith(f"{store}: 5 runs in 1 series, 1 unfinished, 2 damaged\n")
    assert f"unfinished: {runs[2].name}: it has no result.json" in shown


def test_a_run_that_is_being_written_is_running(store: pathlib.Path) -> None:
    run = served(store, 30, edit={"status": "incomplete", "valid": False, "reasons": ("not finished",)})
    (run / "manifest.json").unlink()
    touched_s = (run / "result.json").stat().st_mtime
    assert [each.name for each in history.read(store, now_s=touched_s + 60).running] == [run.name]
    later = history.read(store, now_s=touched_s + 3600)
    assert (later.running, len(later.series[0].runs)) == ((), 9)


def test_a_clock_that_was_set_back_is_noted(store: pathlib.Path) -> None:
    during, between = served(store, 30), served(store, 31)
    (during / "events.jsonl").write_text('{"time_s": 1000.0}\n{"time_s": 400.0}\n', encoding="utf-8")
    early_s = START.timestamp()
    os.utime(between / "result.json", (early_s, early_s))
    found = history.read(store, now_s=START.timestamp() + 7 * 3600 - 600)
    notes = {each.name: (dict(each.flaws).get("clock"), each.remarks) for each in found.series[0].runs}
    assert notes[during.name][0] == "the clock was set back by 600.0 s during the run"
    assert notes[between.name][1] == ("its result is 111,600 s older than its start: the clock was set back meanwhile",)
    assert found.notes == (
        f"{sorted(store.iterdir())[-3].name} and 2 more started in the future: a clock was wrong, here or there, "
        "and the order may be, too.",
    )


def test_changed_and_removed_runs_are_noticed(store: pathlib.Path) -> None:
    assert len(read(store).series[0].runs) == 8
    runs = sorted(store.iterdir())
    shutil.rmtree(runs[-1])
    served(store, 40)
    served(store, 41)
    found = read(store).series[0].runs
    assert len(found) == 9
    assert runs[-1].name not in {each.name for each in found}


def spoiled(index: pathlib.Path) -> None:
    index.write_bytes(b"not a database at all" * 100)


def cut(index: pathlib.Path) -> None:
    index.write_bytes(index.read_bytes()[:-5000])


def aged(index: pathlib.Path) -> None:
    import sqlite3

    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 77")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "note"),
    [(spoiled, "is damaged (file is not a database)"), (cut, "is damaged ("), (aged, "is of version 77")],
)
def test_an_index_that_cannot_be_used_is_built_anew(
    spoil: Callable[[pathlib.Path], None], note: str, store: pathlib.Path
) -> None:
    read(store)
    index = store / ".tfperf-history.sqlite"
    spoil(index)
    found = read(store)
    assert note in found.notes[0]
    assert len(found.series[0].runs) == 8
    assert read(store).notes == ()


def test_an_index_of_a_read_only_directory_lies_in_the_cache(
    store: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (store / ".tfperf-history.sqlite").mkdir()  # root may write anywhere, but not into a directory
    assert len(read(store).series[0].runs) == 8
    assert list(tmp_path.rglob("history/*.sqlite"))
    reads: list[str] = []
    monkeypatch.setattr("tfperf.history.reading.read", lambda *_: reads.append(""))
    found = read(store)
    assert (len(found.series[0].runs), reads, found.notes) == (8, [], ())


def test_without_any_place_for_an_index_the_history_is_still_read(
    store: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_: tmp_path / "cache")
    (store / ".tfperf-history.sqlite").mkdir()
    assert len(read(store).series[0].runs) == 8


def test_two_processes_may_build_the_index_at_once(store: pathlib.Path) -> None:
    for number in range(50, 90):
        served(store, number)
    command = [sys.executable, "-m", "tfperf", "history", str(store), "--format=json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    both = [subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE) for _ in range(2)]
    printed = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [len(each["series"][0]["runs"]) for each in printed] == [48, 48]
    assert read(store).notes == ()


def test_a_sweep_is_named_and_its_trials_are_not_listed(store: pathlib.Path) -> None:
    sweep = store / "sweep"
    served(sweep / "trials", 50)
    (sweep / "sweep.yaml").write_text("base: x\n", encoding="utf-8")
    found = read(store)
    assert len(found.series[0].runs) == 8
    assert [(each.path, each.state, each.problem) for each in found.others] == [("sweep", "other", "a sweep: internal")]


def test_a_drift_is_told(store: pathlib.Path) -> None:
    for number in range(60, 80):
        served(store, number, latency_ms=5 * (1 + 0.004 * (number - 60)) * NOISE[number % 8])
    trend = read(store).series[0].figures["p99"].trend
    assert trend is not None
    assert trend.per_run == pytest.approx(0.004, abs=0.001)


def test_only_what_was_asked_for_is_shown(store: pathlib.Path) -> None:
    trained(store, 30)
    found = read(store)
    assert [each.key.scenario for each in views.only(found, {"scenario": "training"}).series] == ["training"]
    one = views.only(found, {"commit": "c000003"}).series
    assert [[run.commit for run in each.runs] for each in one] == [["c000003"]]
    with pytest.raises(
        UsageError, match=r"No run in .* has benchmark=x. It has: open resnet50_mini SingleStream; open"
    ):
        views.only(found, {"benchmark": "x"})
    with pytest.raises(UsageError, match=r"--only=colour=... is unknown. Accepted: benchmark, division, scenario"):
        views.only(found, {"colour": "x"})


def test_json_holds_every_run_and_what_is_known_of_each_figure(store: pathlib.Path) -> None:
    plain = json.loads(json.dumps(views.as_dict(read(store))))
    (series,) = plain["series"]
    assert (plain["schema"], plain["kind"], len(series["runs"])) == (1, "history", 8)
    assert series["runs"][0]["started"] == "2026-03-01T00:00:00Z"
    assert series["settings"] == {"config.executable": "graph-float32", "config.threads": "2"}
    assert series["figures"]["p99"]["band"]["runs"] == 8


def run_command(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "tfperf", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none",), "none can't be listed: No such file or directory. Pass the directory that holds the runs"),
        (("empty",), "empty holds no runs. Pass the --output_dir of tfperf train and infer, or a folder with"),
        (("a", "b"), "history takes one directory, got a b. Write tfperf history runs."),
        (("runs", "--only=x"), "--only=x must be key=value, such as benchmark=resnet50_mini."),
        (("runs", "--allow=all"), "--allow all is unknown. Accepted: invalid, internal, incomplete, edited, missed"),
    ],
)
def test_mistakes_are_explained(arguments: tuple[str, ...], message: str, store: pathlib.Path) -> None:
    (store.parent / "empty").mkdir()
    done = run_command("history", *arguments, cwd=store.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"tfperf history: {message}")


def test_a_new_run_is_held_against_the_last_comparable_ones(store: pathlib.Path) -> None:
    new = served(store, 50, latency_ms=6.5)
    served(store, 20, latency_ms=1, edit={"config": {"executable": "graph-float32", "threads": 1}})
    done = run_command("compare", "--history=5", "--format=json", "--", str(new), cwd=store.parent)
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"]) == (7, "SUSPECT")
    before = sorted(store.iterdir())[-7:-2]
    assert [pathlib.Path(path).name for path in found["baseline"]] == [each.name for each in before]
    again = run_command("compare", "--history=runs", "--last=3", "--format=json", str(new), cwd=store.parent)
    assert len(json.loads(again.stdout)["baseline"]) == 3


def test_a_run_without_comparable_ones_is_refused_with_what_there_is(store: pathlib.Path) -> None:
    new = served(store, 50, edit={"environment": {"cpu": "other", "platform": "8 cores of other"}})
    done = run_command("compare", "--history=5", "--", str(new), cwd=store.parent)
    assert done.returncode == 2
    assert "No earlier run in " in done.stderr
    assert "can be compared with this open resnet50_mini SingleStream run on 8 cores of other" in done.stderr
    assert "It has 8 of another system." in done.stderr
    done = run_command(
        "compare", "--history=5", "--change=environment.cpu", "--format=json", "--", str(new), cwd=store.parent
    )
    assert len(json.loads(done.stdout)["baseline"]) == 5
    both = run_command("compare", "--history=5", "runs", "--", str(new), cwd=store.parent)
    assert "--history chooses the baseline, and runs were given for it, too." in both.stderr


@pytest.mark.parametrize(
    "command",
    [each for each in readmes.commands() if each.words[:2] == ("tfperf", "history") and each.output],
    ids=lambda command: command.where,
)
def test_the_command_prints_what_is_shown(command: readmes.Command, store: pathlib.Path) -> None:
    done = run_command(*command.words[1:], cwd=store.parent)
    own = (" cores of ", "-resnet50-mini-")  # the machine and the runs
    shown = [line for line in command.output if not any(each in line for each in own)]
    printed = done.stdout
    assert readmes.labels_not_in(printed, dataclasses.replace(command, output=tuple(shown))) == []
