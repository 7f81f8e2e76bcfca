"""Tests of the sections about the chosen runs, above all their cards."""

import json

from selenium.webdriver.common.by import By

from tests.reporting.plugin.static.browsing import all_of, card, choose, drawn, facts_of, one, until, values


def test_shows_the_verdict_first_and_numbers_that_equal_those_of_the_results(runs, opened):
    runs.training("b-trained")
    runs.serving("a-served")
    browser = opened(runs.logdir)
    choose(browser, "a-served")
    one(browser, "#comparison")

    assert [each.get_attribute("id") for each in all_of(browser, "main section")] == [
        "verdicts",
        "quality",
        "latencies",
        "comparison",
        "compliance",
        "machine",
    ]
    trained, served = (
        json.loads((runs.logdir / name / "result.json").read_text()) for name in ("b-trained", "a-served")
    )
    assert values(browser, "time to train (s)") == [trained["time_to_train_s"], None]
    assert values(browser, "accuracy") == [trained["quality"]["value"], served["accuracy"]["value"]]
    assert values(browser, "examples/s") == [trained["examples_per_s"], None]
    assert values(browser, "metric (samples/s)") == [None, served["metric"]["value"]]
    assert values(browser, "latency p99.9 (ms)") == [None, served["latency_ns"]["p99_9"]]
    assert "VALID open run of resnet50_mini, not verified by MLCommons" in card(browser, "b-trained").text
    assert "41.51 s (0.69 minutes)" in card(browser, "b-trained").text


def test_the_card_of_a_sweep_says_what_it_found_and_that_it_is_internal(runs, opened):
    runs.bare("a-sweep", runs.swept)
    browser = opened(runs.logdir)
    until(browser, lambda: card(browser, "a-sweep"))

    shown = card(browser, "a-sweep").text
    facts = facts_of(browser, "a-sweep")

    assert "internal sweep of resnet50_mini for time_to_target: success" in shown
    assert "INTERNAL: not an MLPerf result, can't be submitted or packaged" in shown
    assert (facts["trials"], facts["best trial"]) == ("3", "01")
    assert facts["best values"].splitlines() == ["optimizer.sgd.base_learning_rate: 0.05123", "global_batch_size: 64"]
    assert facts["default values"].splitlines() == ["optimizer.sgd.base_learning_rate: 0.1", "global_batch_size: 32"]
    assert facts["closed rules"] == "optimizer.sgd.base_learning_rate: a multiple of 0.001"
    interval = "95 % confidence interval -0.0851 to +12.09"
    assert facts["improvement"] == f"+6 over 2 repeats, {interval}: not larger than the noise"


def test_an_internal_run_is_marked_wherever_it_is_shown(runs, opened):
    runs.training("b-trained")
    runs.training("c-internal", runs.internal)
    browser = opened(runs.logdir)
    choose(browser, "b-trained")
    drawn(browser, "quality")

    shown = card(browser, "c-internal")
    marks = [each.text for each in all_of(browser, ".badge.internal")]
    legend = [each.text for each in all_of(browser, "#quality .legend li")]

    assert "INTERNAL: not an MLPerf result, can't be submitted or packaged" in shown.text
    hatched = (
        "return getComputedStyle(arguments[0], arguments[1]).backgroundImage.includes('repeating-linear-gradient')"
    )
    assert browser.execute_script(hatched, shown, "::before")
    assert not browser.execute_script(hatched, shown, "")
    # In the list, on its card, in the legend, the comparison and above its checklist.
    assert len(marks) >= 4
    assert set(marks) == {"INTERNAL"}
    assert any(name == "c-internal INTERNAL" for name in legend)
    assert not any("VALID" in each.text for each in shown.find_elements(By.CSS_SELECTOR, ".badge.valid"))


def test_a_lone_card_uses_the_width_and_links_the_files_of_the_run(runs, opened):
    run_dir = runs.training("a-trained")
    (run_dir / "mllog.txt").write_text(":::MLLOG {}\n")
    browser = opened(runs.logdir)
    until(browser, lambda: all_of(browser, "article dl"))

    widths = browser.execute_script(
        "return ['main', 'article'].map((each) => document.querySelector(each).getBoundingClientRect().width)"
    )
    columns = browser.execute_script(
        "return getComputedStyle(document.querySelector('article dl')).gridTemplateColumns"
    )
    links = [(each.text, each.get_attribute("download")) for each in all_of(browser, "article .file a")]
    read = browser.execute_async_script(
        "const done = arguments[0]; fetch(document.querySelector('.file a[download=\"mllog.txt\"]').href)"
        ".then((answer) => answer.text()).then(done)"
    )

    assert widths[1] > widths[0] - 60
    assert len(columns.split()) >= 3
    assert [name for name, saved in links if not saved] == ["result.json", "mllog.txt", "spec.yaml", "events.jsonl"]
    assert read == ":::MLLOG {}\n"


def test_an_unreadable_run_says_why_beside_the_others(runs, opened):
    (runs.training("b-damaged") / "result.json").write_text("{")
    runs.training("a-trained")
    browser = opened(runs.logdir)
    choose(browser, "a-trained")

    assert "result.json was not written by tfperf" in card(browser, "b-damaged").text
    assert "VALID open run" in card(browser, "a-trained").text


def test_a_time_that_is_no_date_is_left_out(runs, opened):
    path = runs.training("a-live", None) / "events.jsonl"
    path.write_text(path.read_text() + '{"time_s": 1e300, "key": "run_stop", "value": null, "metadata": {}}\n')
    browser = opened(runs.logdir)

    until(browser, lambda: "no result yet" in card(browser, "a-live").text)

    assert "Last event" not in card(browser, "a-live").text


def test_the_newest_detections_are_pictures_with_the_precision_below(runs, opened):
    runs.detecting("a-detector")
    browser = opened(runs.logdir)
    drawn(browser, "detections")

    pictures = until(browser, lambda: all_of(browser, "#detections figure img"))
    until(browser, lambda: all(each.get_property("naturalWidth") == 6 for each in pictures))
    alternatives = [each.get_attribute("alt") for each in pictures]
    assert alternatives == [f"{name}.jpg: ground truth on the left, detections on the right" for name in ("a", "b")]
    assert [each.text for each in all_of(browser, "#detections figcaption")] == ["a.jpg, step 20", "b.jpg, step 20"]
    assert [each.text for each in all_of(browser, "#detections .legendtext")] == ["cat", "dog"]
