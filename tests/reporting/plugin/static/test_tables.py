"""Tests of the tables: trials, runs side by side, sorting, and CSV files."""

import csv
import dataclasses
import io
import json

from tests.reporting.plugin.static.browsing import all_of, card, choose, facts_of, one, rows_of, until, values


def test_a_sweep_shows_its_trials_and_numbers_as_its_result_has_them(runs, opened):
    runs.training("b-trained")
    runs.bare("a-sweep", runs.swept)
    browser = opened(runs.logdir)
    choose(browser, "a-sweep")
    one(browser, "#sweeps table")
    one(browser, "#comparison")

    written = json.loads((runs.logdir / "a-sweep" / "result.json").read_text())
    rows = rows_of(browser, "sweeps")
    assert [row["trial"] for row in rows] == ["00", "★ 01", "02"]
    for row, trial in zip(rows, written["trials"], strict=True):
        assert {field: row[field] for field in trial["values"]} == {
            field: f"{value:.4g}" for field, value in trial["values"].items()
        }
        shown = [trial["objective"], trial["quality"]]
        assert [row["time_to_target"], row["quality"]] == ["--" if it is None else f"{it:.4g}" for it in shown]
        assert (row["epochs"], row["status"]) == (str(trial["epochs"]), trial["status"])
        assert row["because"] == trial["reason"]
    (best,) = [trial for trial in written["trials"] if trial["name"] == written["best"]]
    assert values(browser, "best time_to_target") == [None, best["objective"]]
    assert values(browser, "sweep (s)") == [None, written["measurements"][0]["value"]]


def test_a_sweep_without_trials_has_no_table_and_no_best(runs, opened):
    interrupted = dataclasses.replace(
        runs.swept, valid=False, reasons=("interrupted",), status="incomplete", trials=(), best=None, best_values={}
    )
    runs.bare("a-sweep", interrupted)
    browser = opened(runs.logdir)
    until(browser, lambda: card(browser, "a-sweep"))

    assert all_of(browser, "#sweeps") == []
    assert "interrupted" in card(browser, "a-sweep").text
    assert facts_of(browser, "a-sweep")["best trial"] == "--"


def test_the_best_of_a_column_is_marked_and_columns_sort_and_are_saved_as_csv(runs, opened):
    for name, seconds in (("c", 41.5), ("b", 9.123456789), ("a", 120.25)):
        runs.training(name, dataclasses.replace(runs.trained, time_to_train_s=seconds, benchmark="=1+1"))
    runs.training("0-missed", runs.missed)
    browser = opened(runs.logdir)
    until(browser, lambda: all_of(browser, "article"))
    one(browser, "nav .buttons:not(.endings) button").click()
    until(browser, lambda: len(all_of(browser, "article")) == 4 and all_of(browser, "#comparison td.best"))
    column = "time to train (s)"

    marked = [each.text for each in all_of(browser, "#comparison td.best")]
    (header,) = [each for each in all_of(browser, "#comparison th button.sort") if each.text == column]
    header.click()
    ascending = values(browser, column)
    header.click()
    descending = values(browser, column)
    browser.execute_script(
        "window.saved = [];"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => saved.push(text)); return '#'; }"
    )
    one(browser, "#comparison caption button").click()
    until(browser, lambda: browser.execute_script("return saved.length"))
    heads, *rows = csv.reader(io.StringIO(browser.execute_script("return saved[0]")))

    assert marked == ["★ 9.12"]
    assert (ascending, descending) == ([9.123456789, 41.5, 120.25, None], [120.25, 41.5, 9.123456789, None])
    assert [row[heads.index(column)] for row in rows] == ["120.25", "41.5", "9.123456789", "--"]
    assert [row[heads.index("run")] for row in rows] == ["a", "c", "b", "0-missed"]
    assert rows[0][heads.index("benchmark")] == "'=1+1"
