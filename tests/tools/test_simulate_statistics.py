"""The simulation runs on a small scale, and ends with its figures and goals."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
PATH = ROOT / "tools" / "simulate_statistics.py"
SPEC = importlib.util.spec_from_file_location("simulate_statistics", PATH)
assert SPEC is not None and SPEC.loader is not None
simulate_statistics = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = simulate_statistics
SPEC.loader.exec_module(simulate_statistics)


def test_prints_tables_and_its_figures_last():
    command = [sys.executable, str(PATH), "--runs=4", "--queries=700"]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[1].split() == ["seed", "P50", "P95", "P99"]
    assert [line[:20].strip() for line in lines[2:8]] == [each.name for each in simulate_statistics.ONE_RUN]
    figures = json.loads(lines[-1])
    assert figures["name"] == "simulate_statistics"
    assert figures["ratios"]["compare: false REGRESSION"]["goal"] == "<= 0.05"


@pytest.mark.parametrize("situation", simulate_statistics.ONE_RUN, ids=lambda situation: situation.name)
def test_the_truth_is_that_of_what_is_simulated(situation):
    latencies = situation.latencies(np.random.default_rng(3), runs=200, queries=1000)
    for percent in simulate_statistics.PERCENTS:
        share = float((latencies <= situation.percentile(percent)).mean())
        assert share == pytest.approx(percent / 100, abs=0.02 if situation.correlation > 0.9 else 0.005)
    if situation.correlation:
        logs = np.log(latencies)
        body = logs if not situation.tailed else np.where(latencies > 2, np.nan, logs)
        found = np.ma.corrcoef(*(np.ma.masked_invalid(part.ravel()) for part in (body[:, 1:], body[:, :-1])))[0, 1]
        assert found == pytest.approx(situation.correlation, abs=0.1)


def test_ranks_are_compared_as_by_scipy():
    scipy_stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    for shift in (0.0, 0.02, 0.1, -0.1):
        first, second = random.normal(0, 1, 900), random.normal(shift, 1, 800)
        p = scipy_stats.mannwhitneyu(second, first, method="asymptotic", use_continuity=False).pvalue
        slower = p < 0.05 and np.median(second) > np.median(first)
        assert simulate_statistics.slower_by_ranks(first, second) == slower
