"""Tests of the charts: what is drawn, and how runs are told apart."""

import dataclasses

from tests.reporting import test_evaluation_html, test_machine_series
from tests.reporting.plugin.static.browsing import all_of, charts_of, choose, drawn, one, until


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


def test_a_trial_is_named_by_its_sweep_and_its_number(runs, opened):
    runs.sweep("sweep-1")
    runs.serving("sweep-1/trials/1/20260101T000000Z-served-1a1b1c")
    browser = opened(runs.logdir)
    one(browser, ".fold").click()
    until(browser, lambda: len(all_of(browser, ".runs .line")) == 4)

    one(browser, "nav .buttons:not(.endings) button").click()
    drawn(browser, "latencies")

    assert [each.text for each in all_of(browser, "#latencies .legend li")] == ["sweep-1 trial 1"]


def test_draws_the_machine_over_time_with_the_measured_windows(runs, opened):
    run_dir = runs.training("trained")
    written = "".join(f"{line}\n" for line in test_machine_series.lines(4))
    (run_dir / "telemetry.jsonl").write_text(written)
    browser = opened(runs.logdir)
    use, power = charts_of(
        browser,
        "usage",
        "{names: chart.data.map(({name}) => name), windows: chart.layout.shapes.map(({x0, x1}) => [x0, x1]), "
        "said: chart.layout.annotations.map(({text}) => text), unit: chart.layout.yaxis.title.text}",
    )
    assert use == {
        "names": ["processors", "the run's processes", "memory", "GPU 0"],
        "windows": [[1, 3]],
        "said": ["training"],
        "unit": "use (%)",
    }
    assert (power["names"], power["unit"]) == (["package-0", "GPU 0"], "power (W)")


def test_draws_an_evaluation_with_its_bound_and_its_loads(runs, opened):
    runs.bare("evaluated", test_evaluation_html.evaluation())
    browser = opened(runs.logdir)
    curve, over_time = charts_of(
        browser,
        "loads",
        "{traces: chart.data.map(({x, y}) => [x, y]), type: chart.layout.yaxis.type, "
        "bound: chart.layout.shapes.map(({y0}) => y0), said: chart.layout.annotations.map(({text}) => text)}",
    )
    assert curve == {"traces": [[[100, 200], [3, 9]]], "type": "log", "bound": [10], "said": ["bound: 10"]}
    assert over_time["traces"] == [[[1, 11, 11, 12, 22, 22], [100, 100, None, 100, 100, None]]]
    captions = [each.text for each in all_of(browser, "#loads caption")]
    assert any("Knees and bounds" in each for each in captions)
    assert "LEVEL_SHIFT +8.0% at 35 s" in one(browser, "#loads").text
