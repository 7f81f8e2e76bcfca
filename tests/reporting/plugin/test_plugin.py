"""Tests of what the page in TensorBoard gets from run directories."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from importlib import metadata, resources

import pytest

START_S = 1_700_000_000.0
RUN = "20261121T222352Z-resnet50-mini-b805f2"


def test_tensorboard_finds_the_plugin_of_an_installed_tfperf():
    (found,) = [each for each in metadata.entry_points(group="tensorboard_plugins") if each.name == "tfperf"][:1]

    assert found.value == "tfperf.reporting.plugin.plugin:Plugin"


def test_runs_are_found_at_any_depth_newest_first(runs, board):
    runs.training("here/20260101T000000Z-old")
    runs.serving("20260301T000000Z-new")
    runs.training("there/deeper/20260201T000000Z-middle")

    assert list(board(runs.logdir).runs()) == [
        "20260301T000000Z-new",
        "there/deeper/20260201T000000Z-middle",
        "here/20260101T000000Z-old",
    ]


def test_runs_without_a_date_in_their_names_are_listed_by_their_first_event(runs, board):
    runs.training("a/1")  # in 2023
    runs.training("20230101T000000Z-before")
    runs.training("20240101T000000Z-after")
    runs.training("20249999T000000Z-no-date")

    listed = board(runs.logdir).runs()

    assert list(listed) == ["20240101T000000Z-after", "20249999T000000Z-no-date", "a/1", "20230101T000000Z-before"]
    assert listed["20230101T000000Z-before"]["started_s"] == 1_672_531_200
    assert listed["a/1"]["started_s"] == START_S - 10


def test_the_runs_of_a_sweep_say_which_trial_they_are(runs, board):
    runs.sweep("here/s")
    runs.training("here/s/repeats/best/1", runs.internal)
    runs.bare("here/s/trials/02/20260101T000000Z-served-1a2b3c")
    runs.training("here/alone")

    listed = board(runs.logdir).runs()

    key = listed["here/s"]["key"]
    assert {name: run["trial"] for name, run in listed.items() if run["sweep"] == key} == {
        "here/s/trials/00": "00",
        "here/s/trials/01": "01",
        "here/s/trials/02/20260101T000000Z-served-1a2b3c": "02",
        "here/s/repeats/best/1": "repeats/best/1",
    }
    assert (listed["here/s"]["best"], listed["here/alone"]["sweep"]) == ("01", None)
    assert listed["here/s"]["started_s"] == START_S - 10  # with its first trial
    trial = listed["here/s/trials/00"]
    assert (trial["number"], trial["ending"], trial["reasons"]) == ("accuracy 0.5000", "finished", [])
    assert trial["line"] == "internal trial of resnet50_mini, not trained to the target"


def test_a_sweep_is_listed_while_it_runs(runs, board):
    runs.sweep("s")
    (runs.logdir / "s" / "result.json").unlink()

    found = board(runs.logdir).runs()["s"]

    assert (found["verdict"], found["kind"], found["division"]) == ("UNFINISHED", "sweep", "internal")


@pytest.mark.parametrize("division", ["open", "internal"])
@pytest.mark.parametrize(
    ("reached", "target", "reasons", "word"),
    [
        (True, 0.75, (), "reached"),
        (False, 0.75, ("the target was missed: accuracy 0.5 after 12 epochs, the target is 0.75",), "missed"),
        (False, 0.75, ("interrupted",), "aborted"),
        (False, 0.75, ("the target was missed: no evaluation was made",), "missed"),
        (False, 0.75, ("ResourceExhaustedError: out of memory",), "aborted"),
        (False, 0.75, ("UnavailableError: a heartbeat was missed",), "aborted"),
        (False, None, ("no target was set: this run is timed only",), "timed"),
    ],
)
def test_every_training_run_says_how_it_ended(runs, board, division, reached, target, reasons, word):
    quality = dataclasses.replace(runs.trained.quality, reached=reached, target=target)
    status = "success" if reached else "aborted"
    outcome = {"division": division, "valid": reached, "reasons": reasons, "status": status, "quality": quality}
    runs.training(RUN, dataclasses.replace(runs.trained, **outcome))

    found = board(runs.logdir).runs()[RUN]

    by_word = {"reached": "VALID", "timed": "TIMED"}
    assert found["ending"] == word
    assert found["verdict"] == ("INTERNAL" if division == "internal" else by_word.get(word, "INVALID"))


def test_the_files_of_a_run_are_served_as_text(runs, board):
    run_dir = runs.training(RUN)
    (run_dir / "mllog.txt").write_text("<script>")
    shown = board(runs.logdir)
    key = shown.runs()[RUN]["key"]

    served = shown.get(f"file?key={key}&name=mllog.txt")

    assert shown.run(RUN)["files"] == ["result.json", "mllog.txt", "spec.yaml", "events.jsonl"]
    assert (served.data, served.mimetype) == (b"<script>", "text/plain")
    assert served.headers["X-Content-Type-Options"] == "nosniff"


def test_only_the_files_of_a_run_are_served(runs, board, tmp_path):
    run_dir = runs.training("logdir/a")
    (tmp_path / "secret").write_text("secret")
    (run_dir / "mllog.txt").symlink_to(tmp_path / "secret")
    (run_dir / "model.keras").write_text("weights")
    shown = board(runs.logdir / "logdir")
    key = shown.runs()["a"]["key"]

    for name in ("model.keras", "../secret", "..", "", str(tmp_path / "secret"), "best.yaml"):
        assert shown.get(f"file?key={key}&name={name}").status_code == 404
    linked = shown.get(f"file?key={key}&name=mllog.txt")
    assert (linked.status_code, "secret" in linked.text) == (403, False)


def test_an_empty_logdir_is_answered_with_a_command(board, tmp_path):
    logdir = tmp_path / "a b"
    logdir.mkdir()

    answer = board(logdir).get("runs").json

    assert answer["logdirs"] == [str(logdir)]
    assert answer["command"] == f"tfperf train --config resnet50-mini --output_dir '{logdir}'"


def test_a_logdir_may_be_a_run(runs, board):
    run_dir = runs.serving(RUN)

    assert list(board(run_dir).runs()) == ["(the logdir itself)"]
    assert len(board(run_dir).run("(the logdir itself)")["distribution"]) == 1000


def test_named_logdirs_are_looked_through(runs, board):
    runs.training("one/a")
    runs.training("two/b")
    specification = f"first:{runs.logdir}/one,{runs.logdir}/two"

    assert list(board(None, logdir_spec=specification).runs()) == ["b", "first/a"]


def test_a_link_to_a_directory_above_ends(runs, board):
    runs.training("a")
    (runs.logdir / "loop").symlink_to(runs.logdir)

    found = board(runs.logdir).runs()

    assert "a" in found
    assert len(found) < 20


def test_the_tab_is_active_once_there_is_a_run(runs, board):
    shown = board(runs.logdir)

    assert not shown.plugin.is_active()
    runs.training(RUN)
    assert shown.plugin.is_active()


def test_a_sweep_is_shown_as_in_its_result(runs, board):
    runs.bare(RUN, runs.swept)

    found = board(runs.logdir).run(RUN)

    assert (found["verdict"], found["line"], found["kind"], found["valid"]) == (
        "INTERNAL",
        "internal sweep of resnet50_mini for time_to_target: success",
        "sweep",
        True,
    )
    assert {number["label"]: (number["value"], number["text"]) for number in found["numbers"]} == {
        "best time_to_target": (24.87654321, "24.88"),
        "sweep": (181.25, "181.2 s"),
    }
    (table,) = found["tables"]
    assert [dict(zip(table["headers"], row, strict=True))["time_to_target"] for row in table["rows"]] == [
        "31.12",
        "24.88",
        "--",
    ]


def test_a_training_run_is_shown_as_in_its_result(runs, board):
    runs.training(RUN)

    found = board(runs.logdir).run(RUN)

    assert (found["verdict"], found["line"]) == (
        "VALID",
        "VALID open run of resnet50_mini, not verified by MLCommons",
    )
    assert {number["label"]: (number["value"], number["text"]) for number in found["numbers"]} == {
        "time to train": (41.512345678901234, "41.51 s"),
        "accuracy": (0.8779296875, "0.8779 (target 0.7500): reached"),
        "epochs": (2, "2"),
        "examples/s": (294.686478539669, "294.7"),
        "initialisation": (11.722884881000937, "11.72 s"),
    }
    assert found["config"] == {"seed": 7, "optimizer.sgd.momentum": 0.9}
    assert found["machine"]["packages.tensorflow"] == "2.21.0"
    assert found["machine"]["command"] == "tfperf train --set 'submission.org=a b'"


def test_quality_is_over_seconds_on_the_clock_with_the_crossing(runs, board):
    runs.training(RUN, evaluations=((10.5, 0.5), (20.25, 0.8), (41.5, 0.8779296875)))

    found = board(runs.logdir).run(RUN)["course"]

    assert [(point["seconds"], point["value"], point["epoch"]) for point in found["points"]] == [
        (10.5, 0.5, 1),
        (20.25, 0.8, 2),
        (41.5, 0.8779296875, 3),
    ]
    assert (found["metric"], found["target"], found["crossed"]) == ("accuracy", 0.75, found["points"][1])


def test_quality_that_has_to_fall_crosses_from_above(runs, board):
    error = dataclasses.replace(runs.trained.quality, mode="min", target=0.4, value=0.3)
    runs.training(RUN, dataclasses.replace(runs.trained, quality=error), evaluations=((1.5, 0.5), (2.5, 0.3)))

    assert board(runs.logdir).run(RUN)["course"]["crossed"]["seconds"] == 2.5


def test_a_run_that_misses_its_target_crosses_nothing_and_quotes_nothing(runs, board):
    runs.training(RUN, runs.missed, evaluations=((10.5, 0.5),))

    found = board(runs.logdir).run(RUN)

    assert (found["verdict"], found["reasons"]) == ("INVALID", list(runs.missed.reasons))
    assert found["course"]["crossed"] is None
    assert found["number"] == "-- (41.51 s on the clock)"


def test_an_internal_run_is_called_that_and_never_valid(runs, board):
    runs.training(RUN, runs.internal)

    found = board(runs.logdir).run(RUN)

    assert found["verdict"] == "INTERNAL"
    assert {"state": "no", "text": "the division is one of MLPerf's: internal"}.items() <= found["checklist"][1].items()


def test_a_serving_run_has_its_distribution_bound_and_tables(runs, board):
    runs.serving(RUN)

    found = board(runs.logdir).run(RUN)

    assert [found["distribution"][permille] for permille in (0, 500, 999)] == [
        [pytest.approx(0.0015), 0.0],
        [pytest.approx(7.5015), 0.5],
        [pytest.approx(14.9865), 0.999],
    ]
    assert found["bound"] == {"latency_ms": 15.0, "share": 0.99}
    assert [point["name"] for point in found["latency_ms"]] == ["p50", "p99", "p99.9"]
    values = {number["label"]: number["value"] for number in found["numbers"]}
    assert (values["metric"], values["latency p99.9"], values["accuracy"]) == (118.53, 14_512_345.0, 0.875)
    assert [table["title"] for table in found["tables"]] == [
        "Percentiles, with 95 % intervals",
        "Candidate executables",
        "Batches",
    ]
    assert ["p99", "12.51", "12.6", "12 to 13"] in found["tables"][0]["rows"]


def test_a_metric_of_an_invalid_serving_run_is_not_quoted(runs, board):
    runs.serving(RUN, dataclasses.replace(runs.served, valid=False, reasons=("too slow",)))

    assert board(runs.logdir).runs()[RUN]["number"] == "-- (118.5 samples/s)"


def test_a_valid_closed_run_that_breaks_the_rules_of_its_division_is_marked(runs, board):
    runs.serving(RUN, dataclasses.replace(runs.served, division="closed"))

    found = board(runs.logdir).runs()[RUN]

    assert (found["verdict"], found["division"], found["closed_eligible"]) == ("VALID", "closed", False)


def test_the_checklist_says_what_holds(runs, board):
    runs.serving(RUN)

    found = board(runs.logdir).run(RUN)["checklist"]

    assert [(item["state"], item["text"]) for item in found] == [
        ("yes", "the result is valid"),
        ("yes", "the division is one of MLPerf's: open"),
        ("yes", "LoadGen says VALID"),
        ("yes", "LoadGen's minimum duration is met"),
        ("yes", "accuracy reached its target"),
        ("yes", "audit TEST01"),
        ("no", "follows every rule of the closed division that tfperf can check"),
    ]


def test_a_live_run_is_followed_to_its_result(runs, board):
    run_dir = runs.training(RUN, None, evaluations=((10.5, 0.5),))
    shown = board(runs.logdir)
    before = shown.run(RUN)

    runs.finish(run_dir, runs.trained)

    assert (before["verdict"], before["benchmark"], before["course"]["target"]) == ("UNFINISHED", "resnet50_mini", 0.75)
    assert shown.run(RUN)["verdict"] == "VALID"


def test_an_unfinished_internal_run_says_so(runs, board):
    run_dir = runs.training(RUN, runs.internal)
    (run_dir / "result.json").unlink()

    found = board(runs.logdir).runs()[RUN]

    assert (found["verdict"], found["line"]) == (
        "UNFINISHED",
        "internal: no result yet: it is running or was killed",
    )


def changed(**fields):
    return lambda content: json.dumps({**json.loads(content), **fields})


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 2], id="cut off"),
        pytest.param(lambda content: "[" * 100_000, id="nested"),
        pytest.param(lambda content: "null", id="null"),
        pytest.param(lambda content: content.replace("41.51", "NaN+41.51"), id="not json"),
        pytest.param(lambda content: content.replace("294.686478539669", "1e999"), id="infinite"),
        pytest.param(lambda content: content.replace("294.686478539669", "NaN"), id="not a number"),
        pytest.param(changed(valid="yes"), id="valid is a text"),
        pytest.param(changed(division="Closed "), id="no division"),
        pytest.param(changed(division=["internal"]), id="division is a list"),
        pytest.param(changed(reasons=[{"a": 1}]), id="reason is no text"),
        pytest.param(changed(measurements=[{"name": 1}]), id="measurement without a value"),
        pytest.param(changed(quality=None), id="no quality"),
        pytest.param(changed(environment=[1]), id="environment is a list"),
        pytest.param(changed(kind="other"), id="another kind"),
        pytest.param(changed(schema=2), id="another schema"),
    ],
)
def test_a_damaged_result_is_unreadable_and_the_others_are_shown(runs, board, damage):
    path = runs.training("damaged") / "result.json"
    runs.training(RUN)
    path.write_text(damage(path.read_text()))
    shown = board(runs.logdir)

    found = shown.run("damaged")

    assert found["verdict"] == "UNREADABLE", found
    assert len(found["reasons"][0]) < 700
    assert shown.run(RUN)["verdict"] == "VALID"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe garbage\n{}\n",
        b'{"time_s": "soon", "key": "run_start", "value": null, "metadata": {}}\n',
        b'{"time_s": 1.0, "key": "run_start", "value": null, "metadata": []}\n',
        b'{"time_s": 1e999, "key": "run_start", "value": null, "metadata": {}}\n',
    ],
)
def test_damaged_events_are_unreadable(runs, board, content):
    (runs.training(RUN) / "events.jsonl").write_bytes(content)

    assert board(runs.logdir).run(RUN)["verdict"] == "UNREADABLE"


def test_a_last_event_that_was_cut_off_is_left_out(runs, board):
    path = runs.training(RUN, None) / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-20])

    assert len(board(runs.logdir).run(RUN)["course"]["points"]) == 1


@pytest.mark.parametrize("kept", [0, 10, 5000])
def test_truncated_event_files_leave_the_rest_of_the_page(runs, board, kept):
    (path,) = (runs.serving(RUN) / "serving").glob("events.out.*")
    os.truncate(path, kept)

    found = board(runs.logdir).run(RUN)

    assert found["verdict"] == "VALID"
    assert len(found["distribution"]) < 1000


def test_a_huge_file_is_not_read(runs, board):
    path = runs.training(RUN) / "result.json"
    os.truncate(path, 10 * 2**30)

    (reason,) = board(runs.logdir).run(RUN)["reasons"]

    assert reason == "result.json has 10,737,418,240 bytes; at most 67,108,864 are shown."


@pytest.mark.parametrize("key", ["", "..", "../../../etc", "%2e%2e%2f", "0" * 16])
def test_only_runs_below_the_logdir_can_be_requested(runs, board, key):
    runs.training("logdir/a")
    outside = runs.training("outside")
    shown = board(runs.logdir / "logdir")

    for address in (f"run?key={key}", f"manifest?key={key}", f"run?key={outside}"):
        assert shown.get(address).status_code == 404


def test_names_of_any_characters_can_be_requested(runs, board):
    names = ["a b", "ü&?#%", '"><script>alert(1)<script>', "-" * 200]
    for name in names:
        runs.training(name)

    assert [board(runs.logdir).run(name)["name"] for name in names] == names


def test_a_name_that_is_not_text_does_not_hide_the_others(runs, board):
    runs.training("a")
    shown = board(runs.logdir)  # first, for TensorBoard's own reader of event files stops at such a name
    os.mkdir(os.fsencode(runs.logdir) + b"/\xff\xfe")

    assert list(shown.runs()) == ["a"]


def test_the_manifest_holds_until_a_file_changes(runs, board):
    run_dir = runs.training(RUN)
    shown = board(runs.logdir)
    assert shown.manifest(RUN)["state"] == "unknown"
    runs.seal(run_dir)
    assert shown.manifest(RUN)["state"] == "yes"

    (run_dir / "result.json").write_text((run_dir / "result.json").read_text() + "\n")

    found = shown.manifest(RUN)
    assert (found["state"], found["because"]) == ("no", "result.json was changed")


@pytest.mark.parametrize("content", ["{", "[]", '{"files": 3}', "[" * 100_000])
def test_a_damaged_manifest_does_not_hold(runs, board, content):
    (runs.training(RUN) / "manifest.json").write_text(content)

    assert board(runs.logdir).manifest(RUN)["state"] == "no"


def test_two_hundred_runs_are_listed_in_a_second_of_processor_time(runs, board):
    for number in range(200):
        runs.bare(f"run-{number:03}", runs.served if number % 2 else runs.trained)
    shown = board(runs.logdir)

    started_s = time.process_time()  # other programs on the machine do not count
    found = shown.runs()

    assert len(found) == 200
    assert time.process_time() - started_s < 1


def test_the_charts_are_drawn_by_the_installed_plotly(board, tmp_path):
    served = board(tmp_path).get("plotly.min.js")

    assert served.data == resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()
    assert served.mimetype == "text/javascript"


def test_the_page_refers_to_no_other_server():
    static = resources.files("tfperf.reporting.plugin").joinpath("static")

    for file in static.iterdir():
        content = file.read_text(encoding="utf-8")
        assert "//cdn" not in content and "https:" not in content and "http:" not in content, file.name
        assert "innerHTML" not in content and "insertAdjacentHTML" not in content and "eval(" not in content, file.name


def test_loading_the_plugin_needs_no_tensorflow():
    program = "import sys; from tfperf.reporting.plugin import plugin; sys.exit('tensorflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_epoch_that_is_no_number_does_not_reach_the_chart(runs, board):
    run_dir = runs.training(RUN)
    line = {"time_s": 1_700_000_060.0, "key": "eval_accuracy", "value": 0.9}
    link = {"epoch_num": '<a href="https://example.com">more</a>'}
    with (run_dir / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, "metadata": link}) + "\n")

    points = board(runs.logdir).run(RUN)["course"]["points"]

    assert [point["epoch"] for point in points] == [1, 2, None]


def test_a_detector_shows_its_newest_pictures_and_curves(runs, board):
    runs.detecting(RUN, evaluations=3)
    runs.training("20260101T000000Z-without")
    opened = board(runs.logdir)

    found = opened.run(RUN)

    assert found["pictures"] == [{"name": "a.jpg", "step": 30}, {"name": "b.jpg", "step": 30}]
    assert [(curve["name"], curve["total"]) for curve in found["curves"]] == [("cat", 8), ("dog", 8)]
    points = [[0, 1], [0.25, 1], [0.5, 0.5], [0.75, pytest.approx(0.3)], [1, 0]]
    assert found["curves"][0]["points"] == points
    assert opened.run("20260101T000000Z-without")["pictures"] == []
    answer = opened.get(f"picture?key={found['key']}&name=b.jpg&step=30")
    assert (answer.status_code, answer.mimetype, answer.data[:4]) == (200, "image/png", b"\x89PNG")


@pytest.mark.parametrize(
    "address", ["key={key}&name=c.jpg", "key={key}&name=../a.jpg", "key={key}", "key=1&name=a.jpg"]
)
def test_a_picture_that_is_not_there_is_an_error(runs, board, address):
    runs.detecting(RUN)
    opened = board(runs.logdir)

    answer = opened.get("picture?" + address.format(key=opened.runs()[RUN]["key"]))

    assert answer.status_code == 404
    assert "no such" in answer.json["error"]


def test_only_pictures_are_served_as_pictures(runs, board):
    runs.detecting(RUN, picture=b"<script>alert(1)</script>")
    opened = board(runs.logdir)

    assert opened.get(f"picture?key={opened.runs()[RUN]['key']}&name=a.jpg").status_code == 404
