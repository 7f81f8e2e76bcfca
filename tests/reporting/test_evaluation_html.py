"""An evaluation as one page."""

from html.parser import HTMLParser

from tests.evaluation import made_up
from tests.reporting import test_machine_series
from tfperf import result, telemetry_log
from tfperf.reporting import evaluation_charts, evaluation_html

SHIFTED = result.Steadiness(
    verdict="LEVEL_SHIFT",
    change=0.08,
    at_s=35.0,
    cropped_s=0.0,
    level=2e6,
    windows=60,
    retraced=0,
    because=("The model became 8.0% slower at 35 s.",),
)


def phase(load: str, **changes) -> result.LoadPhase:
    values = {"load": load, "started_s": 1.0, "duration_s": 10.0, "requests": 1000, "samples": 1000}
    return made_up.load(**{**values, "steadiness": SHIFTED, **changes})


def evaluation(**changes) -> result.EvaluateResult:
    values = {
        "benchmark": "<b>mine</b>",
        "valid": False,
        "reasons": ("constant_rate, 300 requests/s: the load was not reached",),
        "status": "invalid",
        "config": {},
        "environment": {"cpu": "A <processor>"},
        "measured": "model",
        "phases": (phase("100 requests/s"), phase("300 requests/s", started_s=12.0, valid=False, reasons=("late",))),
        "curves": (
            result.LoadCurve(
                executable="as_given",
                batch_size=1,
                instances=1,
                points=((100.0, 3e6), (200.0, 9e6)),
                knee=150.0,
                knee_low=140.0,
                knee_high=160.0,
                knee_by="rate",
                bound_ns=1e7,
                most_within_bound=200.0,
            ),
        ),
    }
    return result.EvaluateResult(**{**values, **changes})


class Requests(HTMLParser):
    """What a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag in ("script", "link", "img", "iframe") or any(name in ("src", "href") for name, _ in attributes):
            self.found.append(tag)


def test_the_page_needs_no_network_and_escapes_what_the_user_named() -> None:
    page = evaluation_html.page(evaluation())
    parser = Requests()
    parser.feed(page)
    assert parser.found == []
    assert "<b>mine</b>" not in page
    assert "&lt;b&gt;mine&lt;/b&gt;" in page


def test_it_shows_reasons_charts_and_tables() -> None:
    page = evaluation_html.page(evaluation())
    assert (
        page.index("the load was not reached") < page.index("Latency over throughput") < page.index("Loads over time")
    )
    assert page.count("<svg") == 2
    assert "LEVEL_SHIFT +8.0% at 35 s" in page
    assert "150 (140 to 160)" in page
    assert 'class="bound"' in page


def test_an_evaluation_that_measured_nothing_has_a_page_without_charts() -> None:
    page = evaluation_html.page(evaluation(phases=(), curves=()))
    assert "<svg" not in page
    assert "the load was not reached" in page


def test_the_machine_is_shown_over_the_same_time_as_the_loads() -> None:
    lines = "".join(f"{line}\n" for line in test_machine_series.lines(4))
    log = telemetry_log.parse(lines.encode(), source="log")
    began = phase("100 requests/s", started_s=1.5, duration_s=1.0, span_ns=(1 * 10**9, 2 * 10**9))
    charts = evaluation_charts.charts(evaluation(phases=(began,), curves=()), log)
    assert [chart.title for chart in charts] == ["Loads over time", "Use of the machine", "Power"]
    # The first reading was a second before the load began, which was 1.5 s after the evaluation had.
    assert [x for x, _ in charts[1].curves[0].points] == [1.5, 2.5, 3.5, 4.5]
    assert {chart.x.span for chart in charts} == {(0.0, 4.5)}
    assert [curve.name for curve in charts[2].curves] == ["package-0", "GPU 0"]
    page = evaluation_html.page(evaluation(phases=(began,), curves=()), log)
    assert page.index("Loads over time") < page.index("Use of the machine") < page.index("power (W)")


def test_the_loads_of_combinations_are_told_apart() -> None:
    loads = tuple(phase("1 stream", threads=threads, device=device) for threads in (1, 2) for device in ("cpu", "gpu"))
    (chart,) = evaluation_charts.charts(evaluation(phases=loads, curves=()))
    assert [curve.name for curve in chart.curves] == [
        "as_given, batch 1, 1 at a time, threads 1, cpu",
        "as_given, batch 1, 1 at a time, threads 1, gpu",
        "as_given, batch 1, 1 at a time, threads 2, cpu",
        "as_given, batch 1, 1 at a time, threads 2, gpu",
    ]


def test_a_combination_has_one_colour_in_all_charts() -> None:
    without_curve = phase("1 stream", batch_size=4)  # too few requests for a P99
    curves, loads = evaluation_charts.charts(evaluation(phases=(without_curve, *evaluation().phases)))
    colours = {curve.name: curve.series for curve in loads.curves}
    assert len(set(colours.values())) == 2
    assert {curve.name: curve.series for curve in curves.curves}.items() <= colours.items()
