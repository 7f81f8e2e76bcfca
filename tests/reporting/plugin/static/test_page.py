"""Tests of the page as a whole: hostile text, live runs, screens, themes, and many runs."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest

from tests.reporting.plugin.static.browsing import FOREIGN, HOSTILE, all_of, card, choose, drawn, one, rows_of, until


def test_text_of_a_sweep_stays_text(runs, opened):
    trial = dataclasses.replace(runs.swept.trials[0], reason=HOSTILE, values={HOSTILE: HOSTILE})
    runs.bare("a-sweep", dataclasses.replace(runs.swept, trials=(trial,), best_values={HOSTILE: HOSTILE}))
    browser = opened(runs.logdir)
    one(browser, "#sweeps table")

    (row,) = rows_of(browser, "sweeps")
    assert (row[HOSTILE], row["because"]) == (HOSTILE, HOSTILE)
    assert browser.execute_script("return window.hacked ?? null") is None
    assert all_of(browser, FOREIGN) == []


def test_an_empty_logdir_says_where_it_looks_and_which_command_writes_a_run(runs, opened):
    browser = opened(runs.logdir)

    one(browser, ".empty")

    command = f"tfperf train --config resnet50-mini --output_dir {runs.logdir}"
    assert [each.text for each in all_of(browser, ".empty pre")] == [str(runs.logdir), command]
    run_dir = runs.training("a-trained")
    until(browser, lambda: card(browser, run_dir.name))


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
