"""A history as metrics, and the command that serves them, where there is no Prometheus."""

import importlib
import json
import math
import os
import pathlib
import re
import socket
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from absl import flags

from tests import readmes
from tests.history.small_runs import served, trained
from tfperf.cli import published_metrics
from tfperf.errors import TfperfError, UsageError
from tfperf.history import exported
from tfperf.history.exported import HistoryMetrics
from tfperf.reporting.prometheus import dashboard, exposition, metrics, rules


def run_command(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "tfperf", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def readings(store: pathlib.Path) -> dict[str, list[metrics.MetricReading]]:
    found: dict[str, list[metrics.MetricReading]] = {}
    for each in HistoryMetrics(store, say=print).readings():
        found.setdefault(each.metric, []).append(each)
    return found


def test_the_newest_result_is_exposed_in_base_units(tmp_path: pathlib.Path) -> None:
    for number in range(4):
        served(tmp_path, number, latency_ms=5 + number / 100, recorded=True)
    found = readings(tmp_path)
    assert [(each.labels[-1], each.value) for each in found["tfperf_latency_percentile_seconds"]] == [
        ("50", pytest.approx(0.00503)),
        ("95", pytest.approx(0.009054)),
        ("99", pytest.approx(0.01006)),
    ]
    assert found["tfperf_samples_total"][0].value == 2000
    assert found["tfperf_memory_bytes"][0].value == 300 << 20
    (requests,) = found["tfperf_request_duration_seconds"]
    assert requests.buckets[-1] == (math.inf, 2000)
    assert requests.value == pytest.approx(2020 * 0.00503)
    assert all(len(each.labels) == len(metrics.BY_NAME[name].labels) for name, some in found.items() for each in some)


def test_training_steps_are_weighted_by_how_many_they_stand_for(tmp_path: pathlib.Path) -> None:
    trained(tmp_path, 1)
    (steps,) = readings(tmp_path)["tfperf_step_duration_seconds"]
    assert (steps.buckets[-1][1], steps.value) == (300, pytest.approx(100 * 0.010 + 200 * 0.020))
    assert readings(tmp_path)["tfperf_samples_total"][0].value == 300 * 64


def test_a_histogram_counts_each_value_in_the_buckets_that_hold_it() -> None:
    seconds = np.array([1e-6, exported.BOUNDS_S[3], 1e9])
    found = exported.histogram("tfperf_request_duration_seconds", (), seconds)
    counts = dict(found.buckets)
    assert counts[exported.BOUNDS_S[2]] == 1
    assert counts[exported.BOUNDS_S[3]] == 2  # le: a value on the bound is within
    assert (counts[exported.BOUNDS_S[-1]], counts[math.inf]) == (2, 3)


def test_the_newest_invalid_run_is_told_and_the_figures_stay_those_of_the_last_good_one(tmp_path: pathlib.Path) -> None:
    served(tmp_path, 1)
    served(tmp_path, 2, latency_ms=1, edit={"status": "invalid", "valid": False, "reasons": ("too late",)})
    found = readings(tmp_path)
    assert found["tfperf_run_valid"][0].value == 0
    assert found["tfperf_latency_percentile_seconds"][0].value == pytest.approx(0.005)
    assert {each.labels[-1]: each.value for each in found["tfperf_runs"]} == {"fit": 1, "flawed": 1}


def test_damaged_runs_are_counted_and_a_missing_directory_is_told(tmp_path: pathlib.Path) -> None:
    store = tmp_path / "runs"
    (served(store, 1) / "result.json").write_text("{", encoding="utf-8")
    assert readings(store)["tfperf_damaged_runs"][0].value == 1
    said: list[str] = []
    found = HistoryMetrics(tmp_path / "none", say=said.append).readings()
    assert [(each.metric, each.value) for each in found] == [("tfperf_history_readable", 0)]
    assert "none can't be listed: No such file or directory" in said[0]


def test_a_run_of_another_directory_has_no_metrics(tmp_path: pathlib.Path) -> None:
    served(tmp_path / "runs", 1)
    with pytest.raises(TfperfError, match=r"has no metrics: it is in no series of"):
        HistoryMetrics(tmp_path / "runs", say=print).of_run(tmp_path)


def test_the_dashboard_is_of_grafanas_schema() -> None:
    """Grafana's own library reads it into its types and writes it again: what it does not know would be lost."""
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="has no version for Python 3.10")
    encoder = importlib.import_module("grafana_foundation_sdk.cog.encoder")
    importlib.import_module("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    shown = json.loads(dashboard.json_text())
    again = json.loads(encoder.JSONEncoder(sort_keys=True).encode(models.Dashboard.from_json(shown)))
    assert covered(shown, again) == []
    assert {panel["type"] for panel in again["panels"]} == {"timeseries"}


def covered(ours: object, theirs: object, where: str = "") -> list[str]:
    """Where `theirs` lacks something of `ours`."""
    if isinstance(ours, dict):
        if not isinstance(theirs, dict):
            return [where]
        return [lack for key, value in ours.items() for lack in covered(value, theirs.get(key), f"{where}.{key}")]
    if isinstance(ours, list):
        if not isinstance(theirs, list) or len(ours) != len(theirs):
            return [where]
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [lack for number, (one, other) in pairs for lack in covered(one, other, f"{where}[{number}]")]
    return [] if ours == theirs else [f"{where}: {ours!r} became {theirs!r}"]


def test_every_name_in_rules_and_dashboard_is_one_of_the_table() -> None:
    texts = [rule.expr for rule in (*rules.recording(), *rules.alerting(no_run_days=2))]
    texts += [dashboard.expression(metric) for metric in metrics.METRICS if metric.panel]
    recorded = {rule.record for rule in rules.recording()}
    for text in texts:
        for name in re.findall(r"tfperf[_:][a-z0-9_:]+", text):
            assert name in recorded or name.removesuffix("_bucket") in metrics.BY_NAME, name


def test_a_busy_port_is_an_error(tmp_path: pathlib.Path) -> None:
    served(tmp_path, 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_command("serve-metrics", str(tmp_path), f"--port={port}", cwd=tmp_path)
        with pytest.raises(UsageError):
            exposition.serve(tuple, host="127.0.0.1", port=port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"tfperf serve-metrics: 127.0.0.1:{port} can't be listened on: Address already in use. Choose another "
        "--port, or end its user.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none",), "none is not a directory. Pass the one that holds the runs, such as runs."),
        (("a", "b"), "serve-metrics takes one directory, got a b."),
        (("--port=99999",), "flag --port=99999: 99999 is not an integer in the range [0, 65535]"),
        (("--write_rules=file/x",), "file/x can't be written to: Not a directory. Choose another --write_rules."),
    ],
)
def test_mistakes_are_explained(arguments: tuple[str, ...], message: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = run_command("serve-metrics", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_rules_and_dashboard_are_written(tmp_path: pathlib.Path) -> None:
    done = run_command("serve-metrics", "--write_rules=made", "--no_run_days=7", cwd=tmp_path)
    assert done.stdout == "made/tfperf-rules.yml\nmade/tfperf-dashboard.json\n"
    assert "> 604800" in (tmp_path / "made" / "tfperf-rules.yml").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "made" / "tfperf-dashboard.json").read_text(encoding="utf-8"))["uid"] == "tfperf"


def test_the_readme_shows_what_is_written(tmp_path: pathlib.Path) -> None:
    (shown,) = (each for each in readmes.commands() if "--write_rules" in each.line)
    done = run_command(*shown.words[1:], cwd=tmp_path)
    assert readmes.matches(shown.output, done.stdout), done.stdout


def test_a_gateway_that_is_not_there_and_a_missing_folder_are_errors(tmp_path: pathlib.Path) -> None:
    with pytest.raises(
        TfperfError, match=r"The Pushgateway 127.0.0.1:1 was not reached: .*The run itself is not affect"
    ):
        exposition.push("127.0.0.1:1", (), name="x")
    with pytest.raises(
        UsageError, match=r"none/tfperf-x.prom can't be written: No such file or directory. Pass the fold"
    ):
        exposition.write(tmp_path / "none", (), name="x")


@pytest.fixture
def publishing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Publishes a run with flags, as a command that has ended does; returns its exit code."""

    def publish(run_dir: pathlib.Path, *given: str, code: int = 0) -> int:
        values = flags.FlagValues()
        monkeypatch.setattr(flags, "FLAGS", values)
        for name in ("metrics_dir", "pushgateway"):
            flags.DEFINE_string(name, None, "", flag_values=values)
        values(["x", *given])
        published_metrics.check()
        return published_metrics.publish(run_dir, verb="infer", code=code)

    return publish


def test_a_run_leaves_its_metrics_beside_those_of_other_series(
    publishing: Callable[..., int], tmp_path: pathlib.Path
) -> None:
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    store = tmp_path / "runs"
    for run in (served(store, 1), trained(store, 2), served(store, 3, latency_ms=4)):
        assert publishing(run, f"--metrics_dir={textfiles}") == 0
    left = sorted(textfiles.iterdir())
    assert [re.sub("-[0-9a-f]{8}[.]", ".", each.name) for each in left] == [
        "tfperf-resnet50_mini-SingleStream.prom",
        "tfperf-resnet50_mini-training.prom",
    ]
    assert 'percentile="50"' in left[0].read_text(encoding="utf-8")
    assert " 0.004\n" in left[0].read_text(encoding="utf-8")
    assert publishing(run) == 0


def test_metrics_that_cannot_be_left_are_told_and_spoil_no_other_exit_code(
    publishing: Callable[..., int], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = served(tmp_path, 1)
    assert publishing(run, "--pushgateway=127.0.0.1:1") == 1
    assert capsys.readouterr().err.startswith("tfperf infer: The Pushgateway 127.0.0.1:1 was not reached: ")
    assert publishing(run, "--pushgateway=127.0.0.1:1", code=4) == 4
    with pytest.raises(UsageError, match=r"--metrics_dir none is not a folder. Pass that of the node exporter's"):
        publishing(run, "--metrics_dir=none")


def test_the_readme_lists_every_metric_with_its_kind() -> None:
    text = (pathlib.Path(metrics.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^[|] `(tfperf_\w+)` [|] (\w+) ", text, re.MULTILINE) == [
        (each.name, each.kind) for each in metrics.METRICS
    ]
    assert set(re.findall(r"^[|] `(Tfperf\w+)` ", text, re.MULTILINE)) == {
        each.alert for each in rules.alerting(no_run_days=2)
    }
