"""The sampler as a process: what it records, that it costs what it says, and that it ends with its parent."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

from tests.telemetry.test_powercap import AMD, tree
from tfperf import spec, telemetry_log
from tfperf.errors import UsageError
from tfperf.telemetry import observation, sampler
from tfperf.telemetry.recorder import Recorder, checked_meter
from tfperf.telemetry_log import Window


def test_joules_of_the_window_and_the_use_of_the_machine(tmp_path):
    root = tree(tmp_path / "powercap", AMD)
    asked = spec.TelemetrySpec(rate_hz=10, idle_s=0.2, powercap=str(root))
    with Recorder(tmp_path, asked) as recorder:
        recorder.idle()
        begin_ns = time.perf_counter_ns()
        recorder.mark("begin")
        (root / "intel-rapl:0" / "energy_uj.new").write_text("6000000\n")
        time.sleep(0.1)
        os.replace(root / "intel-rapl:0" / "energy_uj.new", root / "intel-rapl:0" / "energy_uj")
        while time.process_time() < 0.2 or time.perf_counter_ns() - begin_ns < 6e8:
            sum(range(1000))
        window = Window(name="training", begin_ns=begin_ns, end_ns=time.perf_counter_ns(), samples=10)
        own = recorder.finish([window])
    assert recorder.failure == ""
    found = observation.together([observation.from_plain(observation.as_plain(own))])
    package = found.energy[0]
    assert (package.domain, package.status, package.joules, package.joules_per_sample) == (
        "package",
        "measured",
        5,
        0.5,
    )
    (used,) = found.use
    assert 0 < used.run_cpu_percent <= used.cpu_percent <= 100
    assert used.readings >= 3
    assert used.memory_bytes > 1e6
    assert 0 < used.sampler_percent < 100
    log = telemetry_log.read(tmp_path / "telemetry.jsonl")
    assert [each.name for each in log.windows] == ["idle", "training"]
    again = observation.of_log(log, log.windows[1:], spec=asked, meter_file=None)
    assert again == own, "all can be recomputed from the file"


def test_an_external_meter_is_read_over_the_window(tmp_path):
    path = tmp_path / "watts.csv"
    path.write_text("timestamp,watts\n")
    asked = spec.TelemetrySpec(rate_hz=10, idle_s=0, power_source=f"csv:{path}", powercap=str(tmp_path / "none"))
    with Recorder(tmp_path, asked) as recorder:
        time.sleep(0.2)
        begin_ns, now_s = time.perf_counter_ns(), time.time()
        time.sleep(0.3)
        end_ns = time.perf_counter_ns()
        path.write_text("timestamp,watts\n" + "".join(f"{now_s + second},50\n" for second in range(-3, 4)))
        found = observation.together([recorder.finish([Window(name="load", begin_ns=begin_ns, end_ns=end_ns)])])
    meter = next(each for each in found.energy if each.domain == "meter")
    assert meter.joules == pytest.approx(50 * meter.seconds)
    assert meter.source == f"csv:{path}"


def test_a_meter_is_checked_before_anything_runs(tmp_path):
    with pytest.raises(UsageError, match="Start the meter's program before the run"):
        checked_meter(spec.TelemetrySpec(power_source=f"csv:{tmp_path}/none.csv"))
    assert checked_meter(spec.TelemetrySpec()) is None


def test_records_nothing_at_rate_0(tmp_path):
    with Recorder(tmp_path, spec.TelemetrySpec(rate_hz=0)) as recorder:
        recorder.idle()
        recorder.mark("begin")
        assert recorder.finish([Window(name="training", begin_ns=0, end_ns=1)]) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_sampler_that_dies_is_reported_and_gives_no_number(tmp_path):
    root = tree(tmp_path / "powercap", AMD)
    with Recorder(tmp_path, spec.TelemetrySpec(rate_hz=10, idle_s=0.1, powercap=str(root))) as recorder:
        recorder.idle()
        begin_ns = time.perf_counter_ns()
        recorder._process.kill()
        recorder._process.wait()
        recorder.mark("begin")
        own = recorder.finish([Window(name="training", begin_ns=begin_ns, end_ns=begin_ns + 10**9)])
    assert recorder.failure == "the process that observes the machine ended early with exit code -9"
    package = observation.together([own]).energy[0]
    assert package.status == "unavailable"
    assert "s before the window ended" in package.reason


def test_the_sampler_ends_when_its_parent_is_killed(tmp_path):
    program = (
        "import os, pathlib, sys, time; from tfperf import spec; from tfperf.telemetry.recorder import Recorder\n"
        f"recorder = Recorder(pathlib.Path({str(tmp_path)!r}), spec.TelemetrySpec(rate_hz=10)); recorder._ready()\n"
        "if os.fork() == 0: time.sleep(30)\n"  # a forked child keeps the sampler's standard input open
        "print(recorder._process.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        deadline = time.monotonic() + 10
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _runs(pid)
        parent.stdout.close()


def _runs(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_sampler_imports_nothing_heavy():
    heavy = "{'numpy', 'tensorflow', 'keras'}"
    program = f"import sys; from tfperf.telemetry import sampler; print(*{heavy} & sys.modules.keys())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_readings_that_come_too_late_are_counted(tmp_path):
    written = []
    reading, writing = os.pipe()

    class Slow:
        def read(self, everything=False):
            time.sleep(0.25)
            if len(written) == 3:
                os.close(writing)
            return {"at_ns": time.perf_counter_ns()}

    try:
        sampler.loop(Slow(), written.append, rate_hz=10, stdin=reading, parent=os.getppid())
    finally:
        os.close(reading)
    assert written[-1]["missed"] >= 4


def test_what_is_long_to_read_is_read_once_a_second_and_at_marks():
    reading, writing = os.pipe()
    asked = []

    class Counting:
        def read(self, everything=False):
            asked.append(everything)
            if len(asked) == 5:
                os.write(writing, b"begin\n")
            if len(asked) == 10:
                os.close(writing)
            return {"at_ns": time.perf_counter_ns()}

    try:
        sampler.loop(Counting(), lambda row: None, rate_hz=10, stdin=reading, parent=os.getppid())
    finally:
        os.close(reading)
    assert (asked[0], asked[-1], sum(asked)) == (False, True, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin with the header"),
        (b'{"telemetry":2}\n', "does not begin with the header of a telemetry log of format 1"),
        (b'{"telemetry":1}\n{"at_ns":\n', "log:2: not JSON: "),
        (b'{"telemetry":1}\n[]\n', "log:2: not an object"),
        (b'{"telemetry":1}\n{"at_ns":"x","time_s":1}\n', "a reading has no stamps"),
        (b'{"telemetry":1}\n{"window":{"begin":1}}\n', "a window is not as a run writes it"),
    ],
)
def test_a_damaged_log_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        telemetry_log.parse(content, source="log")
