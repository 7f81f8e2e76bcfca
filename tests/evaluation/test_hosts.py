"""Several hosts send and judge their shares, and one result adds them up over the time that they have in common."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tfperf.evaluation import hosts
from tfperf.evaluation.answered import Rows
from tfperf.evaluation.issuer import Issued
from tfperf.evaluation.loads import HostPart

SECOND = 1_000_000_000


def part(*, per_s: int, begin_s: float, end_s: float, latency_s: float = 0.01, status="ended") -> HostPart:
    """A host that answered evenly from one second to another."""
    due = (np.arange(begin_s, end_s - latency_s, 1 / per_s) * SECOND).astype(np.int64)
    done = due + int(latency_s * SECOND)
    rows = Rows(
        due_ns=due,
        issued_ns=due,
        started_ns=due,
        done_ns=done,
        data_ns=np.zeros_like(due),
        slowest_ns=np.sort(done - due),
        retraced_ns=(),
        requests=len(due),
        every=1,
        span_s=float(done[-1] - due[0]) / SECOND,
        mean_latency_ns=latency_s * SECOND,
        mean_queue_ns=0.0,
        mean_service_ns=latency_s * SECOND,
        mean_data_ns=0.0,
    )
    return HostPart(
        issued=Issued(status=status, sent=len(due)),
        rows=rows,
        samples=4 * len(due),
        instances=1,
        not_finite=1,
        retraces=0,
        memory_growth_bytes=100,
        failure="a request failed: RuntimeError: no" if status == "failed" else None,
    )


def test_rates_are_of_the_time_that_all_hosts_have_in_common() -> None:
    """One host began late and ended early: a sum of its own rate would be right, its requests over 10 s would not."""
    whole, short = part(per_s=100, begin_s=0, end_s=10), part(per_s=300, begin_s=2, end_s=6, latency_s=0.02)
    found = hosts.merged([whole, short])
    assert found.rows.span_s == pytest.approx(4, rel=0.01)
    assert found.rows.requests / found.rows.span_s == pytest.approx(400, rel=0.01)
    assert found.samples / found.rows.span_s == pytest.approx(1600, rel=0.01)
    assert found.issued.sent == found.rows.requests
    assert found.rows.mean_latency_ns == pytest.approx(0.0175 * SECOND, rel=0.01)  # of all requests, not of two means
    assert found.instances == found.not_finite == 2
    assert sorted(set(found.rows.latency_ns.tolist())) == [0.01 * SECOND, 0.02 * SECOND]


def test_a_host_that_fails_fails_all() -> None:
    found = hosts.merged([part(per_s=10, begin_s=0, end_s=4), part(per_s=10, begin_s=0, end_s=2, status="failed")])
    assert (found.issued.status, found.failure) == ("failed", "a request failed: RuntimeError: no")


def test_a_part_survives_the_way_to_another_host() -> None:
    sent = part(per_s=100, begin_s=3, end_s=5)
    received = hosts._decoded(json.loads(json.dumps(hosts._encoded(sent, begun_ns=3 * SECOND))))
    np.testing.assert_array_equal(received.rows.latency_ns, sent.rows.latency_ns)
    assert received.rows.due_ns[0] == 0
    assert (received.issued, received.samples) == (sent.issued, sent.samples)


PROGRAM = """
import time, json, numpy as np, tfperf
def model(x):
    time.sleep(0.01)
    return x
x = np.arange(100, dtype="float32").reshape(100, 1)
found = tfperf.evaluate(model, (x, x + 1), metrics=["mean_absolute_error"], config="evaluate.yaml")
print(json.dumps(found.to_dict()))
"""


@pytest.mark.slow
def test_two_processes_evaluate_their_shares(tmp_path: pathlib.Path) -> None:
    (tmp_path / "evaluate.yaml").write_text(
        "phases:\n  - concurrency: {streams: [2], duration_s: 2}\n"
        "  - constant_rate: {requests_per_s: [100], duration_s: 2}\n  - offline: {min_duration_s: 1}\n",
        encoding="utf-8",
    )
    addresses = [f"localhost:{_free_port()}" for _ in range(2)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(pathlib.Path(__file__).parents[2]),
                "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}),
            },
        )
        for index in range(2)
    ]
    printed = [process.communicate(timeout=200)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    first, second = (json.loads(text) for text in printed)
    without = [
        [{**phase, "started_s": 0.0, "load": "", "span_ns": []} for phase in each["phases"]] for each in (first, second)
    ]
    assert without[0] == without[1]  # but for the time since each began
    assert first["valid"], first["reasons"]
    (judged,) = first["judged"]
    assert judged["examples"] == 100  # each example once
    assert judged["values"]["mean_absolute_error"] == pytest.approx(1)
    streams, rate, offline = first["phases"]
    assert [phase["hosts"] for phase in first["phases"]] == [2, 2, 2]
    assert streams["instances"] == 2  # one on each
    assert 120 < streams["requests"] / streams["duration_s"] <= 200  # each answers at most 100 in a second
    assert rate["requests"] / rate["duration_s"] == pytest.approx(100, rel=0.1)
    assert 120 < offline["samples"] / offline["duration_s"] <= 200
    assert "LoadGen measures one host" in offline["notes"][0]
    assert len(list((tmp_path / "runs").iterdir())) == 1


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])
