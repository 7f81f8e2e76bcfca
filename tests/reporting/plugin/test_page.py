"""Tests of the page in TensorBoard in a real browser: Debian's Chromium, wherever it is installed."""

import csv
import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

DEADLINE_S = 60
FOREIGN = "img, b, main script, nav script, a:not([href^='file?key=']):not(.skip)"  # what no page of tfperf holds
HOSTILE = '<img src=x onerror="window.hacked=1"><a href="javascript:window.hacked=2">b</a>%{x}${1}'


@pytest.fixture(scope="module")
def chromium():
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):
    yield chromium
    said = [line["message"] for line in chromium.get_log("browser") if "favicon.ico" not in line["message"]]
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.get("about:blank")
    assert said == []


@pytest.fixture
def opened(board, serve, browser):
    """Opens the page of a logdir without TensorBoard around it."""
    exits = []

    def open_page(logdir):
        serving = serve(board(logdir).application)
        exits.append(serving)
        browser.get(f"{serving.__enter__()}/data/plugin_entry.html?name=tfperf")
        browser.execute_script("sessionStorage.clear()")
        browser.refresh()
        until(browser, lambda: all_of(browser, ".runs li, nav .quiet"))
        return browser

    yield open_page
    browser.get("about:blank")
    for serving in exits:
        serving.__exit__(None, None, None)


def until(browser, holds):
    """What `holds` returns once it is true. What it looks at may not be there yet, or be replaced meanwhile."""
    waiting = WebDriverWait(
        browser, DEADLINE_S, poll_frequency=0.1, ignored_exceptions=[StaleElementReferenceException, StopIteration]
    )
    return waiting.until(lambda _: holds())


def all_of(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def one(browser, selector):
    return until(browser, lambda: all_of(browser, selector))[0]


def choose(browser, name):
    """Chooses one more run, once the page shows the first."""
    until(browser, lambda: all_of(browser, "article"))
    until(browser, lambda: click(browser, name))
    until(browser, lambda: name in [card.get_attribute("data-run") for card in all_of(browser, "article")])


def click(browser, name):
    (line,) = [line for line in all_of(browser, ".runs li") if name in line.text]
    line.find_element(By.CSS_SELECTOR, "input").click()
    return True


def card(browser, name):
    return next(each for each in all_of(browser, "article") if each.get_attribute("data-run") == name)


def drawn(browser, section):
    """A chart that plotly has drawn."""
    return one(browser, f"#{section} .chart .main-svg")


def values(browser, column):
    """The numbers in full of one column of the comparison, in the order of its rows."""
    headers, *rows = all_of(browser, "#comparison .scroll:first-of-type tr")
    names = [cell.text for cell in headers.find_elements(By.CSS_SELECTOR, "th")]
    found = [row.find_elements(By.CSS_SELECTOR, "th, td")[names.index(column)] for row in rows]
    return [None if value is None else float(value) for value in (each.get_attribute("data-value") for each in found)]


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


def test_draws_quality_with_its_target_and_crossing_and_latencies_with_their_bound(runs, opened):
    runs.training("b-trained")
    runs.serving("a-served")
    browser = opened(runs.logdir)
    choose(browser, "a-served")
    drawn(browser, "quality")
    drawn(browser, "latencies")

    quality, latency = browser.execute_script(
        "return ['#quality', '#latencies'].map((id) => document.querySelector(`${id} .chart`)).map((chart) => "
        "({traces: chart.data.map(({x, y}) => [x, y]), shapes: chart.layout.shapes, said: chart.layout.annotations}))"
    )

    assert quality["traces"] == [[[10.5, 41.5], [0.5, 0.8779296875]], [[41.5], [0.8779296875]]]
    assert quality["shapes"][0]["y0"] == 0.75
    assert quality["said"][0]["text"] == "target: accuracy 0.75"
    assert latency["traces"][0][1][-1] == 0.999
    assert latency["traces"][1][0] == [2.012345, 12.512345, 14.512345]
    assert (latency["shapes"][0]["x0"], latency["said"][0]["text"]) == (15, "bound: 15 ms for 99 %")


def rows_of(browser, section):
    """The rows of the only table of a section, each cell under its header."""
    (table,) = all_of(browser, f"#{section} table")
    headers, *rows = [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
        for row in table.find_elements(By.CSS_SELECTOR, "tr")
    ]
    return [dict(zip(headers, row, strict=True)) for row in rows]


def facts_of(browser, name):
    """What a card says, by label."""
    labels, said = (card(browser, name).find_elements(By.CSS_SELECTOR, each) for each in ("dt", "dd"))
    return {label.text: fact.text for label, fact in zip(labels, said, strict=True)}


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


def test_text_of_a_sweep_stays_text(runs, opened):
    trial = dataclasses.replace(runs.swept.trials[0], reason=HOSTILE, values={HOSTILE: HOSTILE})
    runs.bare("a-sweep", dataclasses.replace(runs.swept, trials=(trial,), best_values={HOSTILE: HOSTILE}))
    browser = opened(runs.logdir)
    one(browser, "#sweeps table")

    (row,) = rows_of(browser, "sweeps")
    assert (row[HOSTILE], row["because"]) == (HOSTILE, HOSTILE)
    assert browser.execute_script("return window.hacked ?? null") is None
    assert all_of(browser, FOREIGN) == []


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


def test_runs_are_listed_newest_first_with_date_and_ending_and_a_filter_finds_them(runs, opened):
    runs.training("20260103T040000Z-new", runs.internal)
    runs.training("20260101T040000Z-old", runs.missed)
    runs.training(
        "20260102T040000Z-cut", dataclasses.replace(runs.missed, division="internal", reasons=("interrupted",))
    )
    browser = opened(runs.logdir)

    def listed():
        return [
            [each.text for each in line.find_elements(By.CSS_SELECTOR, ".name, .badge, .ending")] for line in lines()
        ]

    def lines():
        return all_of(browser, ".runs .line")

    new = ["20260103T040000Z-new", "INTERNAL", "reached"]
    cut = ["20260102T040000Z-cut", "INTERNAL", "aborted"]
    old = ["20260101T040000Z-old", "INVALID", "missed"]
    until(browser, lambda: listed() == [new, cut, old])
    assert lines()[0].find_element(By.CSS_SELECTOR, "time").get_attribute("datetime") == "2026-01-03T04:00:00.000Z"

    field = one(browser, "#filter")
    for typed, found in (("reach", [new]), ("internal", [new, cut]), ("valid", []), ("2026-01-01", [old])):
        field.clear()
        field.send_keys(typed)
        until(browser, lambda found=found: listed() == found)
    field.clear()
    field.send_keys(" ")
    one(browser, "#ending-missed").click()
    one(browser, "#ending-aborted").click()
    until(browser, lambda: listed() == [cut, old])


def test_a_sweep_holds_its_trials_and_links_them_and_stars_the_best(runs, opened):
    runs.sweep("s")
    runs.training("a-trained")
    browser = opened(runs.logdir)
    one(browser, ".fold")
    assert [each.text for each in all_of(browser, ".runs .name")] == ["s", "a-trained"]

    one(browser, ".fold").click()

    until(browser, lambda: len(all_of(browser, ".runs .line")) == 4)
    assert [each.text for each in all_of(browser, ".trials .name")] == ["trial 00", "★ trial 01"]
    until(browser, lambda: all_of(browser, "#sweeps tr.best"))
    (link,) = all_of(browser, "#sweeps tr.best button.link")
    link.click()
    until(browser, lambda: card(browser, "s/trials/01"))


def test_runs_without_end_are_told_apart_and_each_metric_has_its_own_axis(runs, opened):
    for number in range(9):
        runs.training(f"{number}-trained")
    loss = dataclasses.replace(runs.trained.quality, metric="val_loss", mode="min", target=0.9)
    runs.training("9-loss", dataclasses.replace(runs.internal, quality=loss))
    browser = opened(runs.logdir)
    until(browser, lambda: all_of(browser, "article"))
    one(browser, "nav .buttons:not(.endings) button").click()
    until(browser, lambda: len(all_of(browser, "#quality .chart .main-svg")) >= 2)

    looks, axes = browser.execute_script(
        "const charts = [...document.querySelectorAll('#quality .chart')];"
        "return [charts.flatMap((chart) => chart.data).filter(({mode}) => mode === 'lines+markers')"
        ".map(({line, marker}) => [line.color, line.dash, marker.symbol].join(' ')),"
        "charts.map((chart) => chart.layout.yaxis.title.text)]"
    )
    assert len(looks) == len(set(looks)) == 10
    assert sorted(axes) == ["accuracy", "val_loss"]
    glyphs = [(each.get_attribute("class"), each.get_attribute("style")) for each in all_of(browser, ".legend .glyph")]
    assert len(set(glyphs)) == 10


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


def test_an_empty_logdir_says_where_it_looks_and_which_command_writes_a_run(runs, opened):
    browser = opened(runs.logdir)

    one(browser, ".empty")

    command = f"tfperf train --config resnet50-mini --output_dir {runs.logdir}"
    assert [each.text for each in all_of(browser, ".empty pre")] == [str(runs.logdir), command]
    run_dir = runs.training("a-trained")
    until(browser, lambda: card(browser, run_dir.name))


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


def test_text_of_a_run_stays_text(runs, opened):
    training = dataclasses.replace(
        runs.missed,
        reasons=(HOSTILE,),
        notes=(HOSTILE,),
        benchmark=HOSTILE,
        config={HOSTILE: HOSTILE},
        environment={HOSTILE: HOSTILE},
        quality=dataclasses.replace(runs.missed.quality, metric=HOSTILE),
    )
    candidate = dataclasses.replace(runs.served.candidates[1], reason=HOSTILE, executable=HOSTILE)
    serving = dataclasses.replace(runs.served, candidates=(candidate,), audits={HOSTILE: HOSTILE})
    name = '<b onclick="window.hacked=3">x<script>window.hacked=4<'
    runs.training(f"b{name}", training)
    runs.serving("a-served", serving)
    browser = opened(runs.logdir)
    choose(browser, "a-served")
    drawn(browser, "quality")
    drawn(browser, "latencies")

    assert browser.execute_script("return window.hacked ?? null") is None
    assert all_of(browser, FOREIGN) == []
    assert HOSTILE in card(browser, f"b{name}").text
    assert all_of(browser, "#quality .legend li")[0].text.startswith('b<b onclick="window.hack')


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


def test_a_live_run_is_followed_without_a_reload(runs, opened):
    run_dir = runs.training("a-live", None, evaluations=((10.5, 0.5),))
    browser = opened(runs.logdir)
    until(browser, lambda: "no result yet" in card(browser, "a-live").text)
    browser.execute_script("window.notReloaded = true")

    runs.finish(run_dir, runs.trained)
    runs.training("b-begun-later", None)

    until(browser, lambda: all_of(browser, "article.valid"))
    until(browser, lambda: len(all_of(browser, ".runs li")) == 2)
    assert browser.execute_script("return window.notReloaded")


def test_runs_are_chosen_and_filtered_by_keyboard(runs, opened):
    runs.training("b-trained")
    runs.serving("a-served")
    browser = opened(runs.logdir)
    one(browser, "article")
    field = one(browser, "#filter")
    field.send_keys("served")
    until(browser, lambda: len(all_of(browser, ".runs li")) == 1)

    # Past the buttons to the one run in the list.
    while browser.switch_to.active_element.get_attribute("type") != "checkbox":
        browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.SPACE)

    until(browser, lambda: len(all_of(browser, "article")) == 2)
    assert browser.switch_to.active_element.get_attribute("type") == "checkbox"


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(runs, opened, width):
    runs.training("b-trained-with-a-name-that-is-long-and-has-no-end-20261121T222352Z")
    runs.serving("a-served")
    browser = opened(runs.logdir)
    emulated = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 760}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", emulated)
    choose(browser, "a-served")
    drawn(browser, "quality")
    drawn(browser, "latencies")

    until(browser, lambda: browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"))
    assert browser.execute_script("return window.innerWidth") == width
    assert one(browser, "article").size["width"] > 0.5 * min(width, 760)
    settings = until(browser, lambda: all_of(browser, "#comparison .settings tbody th"))
    assert min(each.size["width"] for each in settings) > 100


def test_both_themes_can_be_read(runs, opened):
    runs.training("b-trained", runs.internal)
    runs.training("a-missed", runs.missed)
    runs.sweep("c-swept")
    browser = opened(runs.logdir)
    for name in ("b-trained", "a-missed"):
        choose(browser, name)

    for theme in ("dark", "light"):
        feature = {"name": "prefers-color-scheme", "value": theme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        until(browser, lambda theme=theme: all_of(browser, f"html[data-theme={theme}]"))
        until(browser, lambda: all_of(browser, "article .badge"))
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        marks = (".badge.internal", ".badge.invalid", ".ending.reached", ".ending.missed", ".reasons", ".star")
        for selector in (*marks, "article dt", "article dd", "article a"):
            colour = one(browser, selector).value_of_css_property("color")
            assert contrast(colour, ground) >= 4.5, (theme, selector)


def contrast(one_colour, other):
    """WCAG 2.1's contrast ratio."""
    darker, lighter = sorted(map(luminance, (one_colour, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_of_two_hundred_runs_the_page_reads_only_what_it_shows(runs, opened):
    for number in range(200):
        runs.bare(f"run-{number:03}", runs.served if number % 2 else runs.trained)
    browser = opened(runs.logdir)

    browser.refresh()
    until(browser, lambda: all_of(browser, "article"))
    requested = browser.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")

    assert len(all_of(browser, ".runs li")) == 200
    assert [sum(f"/{what}" in name for name in requested) for what in ("runs", "run?")] == [1, 1]


@pytest.mark.slow
def test_is_a_tab_of_tensorboard_and_as_dark_as_it(runs, browser):
    runs.training("a-trained")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs.logdir), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as tensorboard:
        try:
            address = next(found[0] for line in tensorboard.stderr if (found := re.search(r"http://\S+", line)))
            browser.get(f"{address}?darkMode=true#tfperf")
            browser.switch_to.frame(until(browser, lambda: all_of(browser, "iframe"))[0])
            one(browser, "article.valid")
            drawn(browser, "quality")

            assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"
            said = [line["message"] for line in browser.get_log("browser")]
            assert not [message for message in said if "plugin/tfperf" in message or "plugin_entry" in message]
        finally:
            browser.get("about:blank")
            tensorboard.terminate()
