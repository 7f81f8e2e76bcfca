"""A real Prometheus scrapes what tfperf exposes: a slowed run fires the alert, a repaired one ends it."""

import contextlib
import dataclasses
import pathlib
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import readmes
from tests.history import prometheus_programs as programs
from tests.history.small_runs import served, trained, write_events
from tfperf.history.exported import HistoryMetrics
from tfperf.reporting.prometheus import dashboard, exposition, metrics, rules

pytestmark = programs.needs_prometheus

NOISE = (1.0, 1.01, 0.99, 1.005, 0.995)
CONFIG = """\
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [{rules}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs:
- {{job_name: tfperf, static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]}}
- {{job_name: node, honor_labels: true, static_configs: [{{targets: ["127.0.0.1:{node}"]}}]}}
- {{job_name: push, honor_labels: true, static_configs: [{{targets: ["127.0.0.1:{push}"]}}]}}
"""
ALERTMANAGER = "route: {receiver: none, group_wait: 1s, group_interval: 5s}\nreceivers: [{name: none}]\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Monitoring:
    """Where everything listens, and the folders that it reads."""

    store: pathlib.Path
    textfiles: pathlib.Path
    exporter: int
    prometheus: int
    alertmanager: int
    push: int

    def query(self, expression: str) -> list[dict[str, object]]:
        encoded = urllib.parse.quote(expression)
        found = programs.value_of(f"http://127.0.0.1:{self.prometheus}/api/v1/query?query={encoded}")
        assert found["status"] == "success"
        return list(found["data"]["result"])

    def firing(self) -> set[tuple[str, str]]:
        """(alert, figure) of what fires, by Prometheus' API."""
        found = programs.value_of(f"http://127.0.0.1:{self.prometheus}/api/v1/alerts")["data"]["alerts"]
        named = [(each["labels"]["alertname"], each["labels"].get("figure", "")) for each in found]
        return {pair for pair, each in zip(named, found, strict=True) if each["state"] == "firing"}


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    """Everything that Debian has of Prometheus, scraping an exporter of calm runs, trainings and a running run."""
    folder = tmp_path_factory.mktemp("monitoring")
    store, textfiles = folder / "runs", folder / "textfiles"
    textfiles.mkdir()
    for number, noise in enumerate(NOISE):
        served(store, number, latency_ms=5 * noise, recorded=True)
        trained(store, number, seconds=30 * noise)
    live = store / "20260301T230000Z-live-ffffff"
    live.mkdir()
    (live / "spec.yaml").write_text("benchmark: resnet50_mini\n", encoding="utf-8")
    write_events(live, begun_s=1772400000)
    ports = {name: programs.free_port() for name in ("prometheus", "alertmanager", "node", "push", "cluster")}
    (folder / "tfperf-rules.yml").write_text(rules.yaml_text(no_run_days=2), encoding="utf-8")
    (folder / "am.yml").write_text(ALERTMANAGER, encoding="utf-8")
    local = "--web.listen-address=127.0.0.1:{}"
    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(programs.exporter(store))
        config = CONFIG.format(rules="tfperf-rules.yml", exporter=exporter, **ports)
        (folder / "prometheus.yml").write_text(config, encoding="utf-8")
        for command, port in (
            (("prometheus-pushgateway",), ports["push"]),
            (("prometheus-node-exporter", f"--collector.textfile.directory={textfiles}"), ports["node"]),
            (
                ("prometheus-alertmanager", "--config.file=am.yml", "--storage.path=am", "--cluster.listen-address="),
                ports["alertmanager"],
            ),
            (("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"), ports["prometheus"]),
        ):
            ready = f"http://127.0.0.1:{port}/" + ("-/ready" if "exporter" not in command[0] else "")
            stack.enter_context(programs.running([*command, local.format(port)], cwd=folder, ready=ready))
        yield Monitoring(
            store=store,
            textfiles=textfiles,
            exporter=exporter,
            prometheus=ports["prometheus"],
            alertmanager=ports["alertmanager"],
            push=ports["push"],
        )


def promtool(*arguments: str, given: str | None = None, cwd: pathlib.Path) -> str:
    done = subprocess.run(["promtool", *arguments], input=given, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_metrics_the_rules_and_their_use(monitoring: Monitoring) -> None:
    scraped = programs.text_of(f"http://127.0.0.1:{monitoring.exporter}/metrics")
    assert promtool("check", "metrics", given=scraped, cwd=monitoring.store) == ""
    exposed = {line.split()[2] for line in scraped.splitlines() if line.startswith("# TYPE")}
    assert exposed == {each.name for each in metrics.METRICS}
    folder = monitoring.store.parent
    assert "SUCCESS: 12 rules found" in promtool("check", "rules", "tfperf-rules.yml", cwd=folder)
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", cwd=folder)


def test_promtool_accepts_the_config_that_the_readme_shows(tmp_path: pathlib.Path) -> None:
    (block,) = (each for each in readmes.blocks() if "scrape_configs:" in each.text)
    (tmp_path / "prometheus.yml").write_text(block.text, encoding="utf-8")
    (tmp_path / "tfperf-rules.yml").write_text(rules.yaml_text(no_run_days=2), encoding="utf-8")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", cwd=tmp_path)


def test_energy_that_was_not_measured_is_not_exposed(monitoring: Monitoring) -> None:
    scraped = programs.text_of(f"http://127.0.0.1:{monitoring.exporter}/metrics")
    lines = [line for line in scraped.splitlines() if line.startswith("tfperf_energy_joules_total{")]
    assert len(lines) == 1
    assert 'domain="package"' in lines[0]
    assert lines[0].endswith(" 90.0")


def test_every_query_of_the_dashboard_returns_data(monitoring: Monitoring) -> None:
    panels = dashboard.as_dict()["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in expressions:
        shown = expression
        for label in ("benchmark", "division", "scenario", "system"):
            shown = shown.replace(f"${label}", ".*")
        assert programs.wait_until(lambda shown=shown: monitoring.query(shown)), expression


def test_the_percentile_of_the_histogram_is_that_of_the_requests(monitoring: Monitoring) -> None:
    (found,) = programs.wait_until(lambda: monitoring.query("tfperf:request_duration_seconds:p99"))
    exact_s = 0.005 * NOISE[-1] * 2  # 1 % of the requests take twice as long
    value = float(found["value"][1])
    assert exact_s / 2.5 < value < 1.5 * exact_s


def test_a_slowed_run_fires_the_alert_and_a_repaired_one_ends_it(monitoring: Monitoring) -> None:
    both = {
        (f"TfperfRegression{state}", figure) for state in ("Suspected", "Confirmed") for figure in ("p99", "throughput")
    }
    suspected = {each for each in both if each[0].endswith("Suspected")}
    assert monitoring.firing() & both == set()
    served(monitoring.store, 10, latency_ms=6.5)
    programs.wait_until(lambda: monitoring.firing() & both == suspected)
    for number in (11, 12):
        served(monitoring.store, number, latency_ms=6.5 * NOISE[number - 10])
    programs.wait_until(lambda: monitoring.firing() & both == both - suspected)
    told = f"http://127.0.0.1:{monitoring.alertmanager}/api/v2/alerts"
    programs.wait_until(
        lambda: {each["labels"]["alertname"] for each in programs.value_of(told)} >= {"TfperfRegressionConfirmed"}
    )
    served(monitoring.store, 13, latency_ms=5.0)
    programs.wait_until(lambda: not monitoring.firing() & both)


def test_other_alerts_fire_for_what_they_say(monitoring: Monitoring) -> None:
    """The runs are of a past month, so each series is without a recent run."""
    programs.wait_until(lambda: ("TfperfNoRecentRun", "") in monitoring.firing())
    assert ("TfperfQualityMissed", "") not in monitoring.firing()
    from tfperf import result

    quality = result.Quality(metric="accuracy", value=0.5, target=0.79, reached=False)
    served(monitoring.store, 20, edit={"accuracy": quality, "valid": False, "reasons": ("accuracy is 0.5000",)})
    programs.wait_until(lambda: ("TfperfQualityMissed", "") in monitoring.firing())
    assert ("TfperfRunInvalid", "") not in monitoring.firing()


def test_a_batch_run_reaches_prometheus_through_a_file_and_through_a_gateway(monitoring: Monitoring) -> None:
    found = HistoryMetrics(monitoring.store, say=print)
    newest = max(path for path in monitoring.store.iterdir() if "-training-" in path.name)
    name, readings = found.of_run(newest)
    path = exposition.write(monitoring.textfiles, readings, name=name)
    assert [each.name for each in monitoring.textfiles.iterdir()] == [path.name]
    exposition.push(f"127.0.0.1:{monitoring.push}", readings, name=name)
    for job in ("node", "tfperf"):
        shown = f'tfperf_time_to_train_seconds{{job="{job}"}}'
        programs.wait_until(lambda shown=shown: monitoring.query(shown))
    pushed = f'tfperf_time_to_train_seconds{{instance="{name}"}}'
    assert float(programs.wait_until(lambda: monitoring.query(pushed))[0]["value"][1]) == pytest.approx(30 * NOISE[-1])


def test_scrapes_during_writing_are_whole(monitoring: Monitoring) -> None:
    def write() -> None:
        for number in range(40, 60):
            trained(monitoring.store, number)

    writer = threading.Thread(target=write)
    writer.start()
    scrapes = 0
    while writer.is_alive() or scrapes < 3:
        scraped = programs.text_of(f"http://127.0.0.1:{monitoring.exporter}/metrics")
        families = {each.name for each in text_string_to_metric_families(scraped)}
        assert {"tfperf_runs", "tfperf_history_readable"} <= families
        assert "tfperf_damaged_runs 0.0" in scraped
        scrapes += 1
    writer.join()
    assert 'state="fit"' in scraped
