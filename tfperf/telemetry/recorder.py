"""Starts the sampler beside a run, marks what is measured, and reads the log when the run has ended."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from typing import IO, Any

from tfperf import spec as specs
from tfperf import telemetry_log
from tfperf.telemetry import meter, observation
from tfperf.telemetry.observation import WindowObservation
from tfperf.telemetry_log import Window

_START_S = 20.0  # for the sampler to be ready, on a busy machine
_END_S = 10.0
# Has the new interpreter search the same folders for modules as this one.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from tfperf.telemetry import sampler; sampler.main()"
)


class Recorder:
    """Records this machine from its creation to `close`. With `rate_hz: 0` it does nothing.

    A failure of the sampler never ends a run: the result says why there are no numbers.

    Args:
        directory: the directory that gets `telemetry.jsonl`; None for a worker without one, whose log is temporary.
        spec: what to record.
        worker: the number of this worker.
        workers: how many take part.

    Raises:
        UsageError: the file of the external meter can't be used.

    Example:
        with Recorder(run_dir, spec.telemetry) as recorder:
            recorder.idle()
            begin_ns = time.perf_counter_ns()
            train()
            windows = [Window(name="training", begin_ns=begin_ns, end_ns=time.perf_counter_ns())]
            observed = recorder.finish(windows)
    """

    def __init__(
        self, directory: pathlib.Path | None, spec: specs.TelemetrySpec, *, worker: int = 0, workers: int = 1
    ) -> None:
        self.failure = ""
        self._spec = spec
        self._header: dict[str, Any] | None = None
        self._windows: list[Window] = []
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._meter = checked_meter(spec, worker=worker, workers=workers)
        if not spec.rate_hz:
            return
        folder = directory or pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.path = folder / telemetry_log.NAME
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # the stack closes it
        self._stack.callback(self._errors.close)
        self._process = self._started()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The sampler's process; None if there is none."""
        return None if self._process is None else self._process.pid

    def ready(self) -> bool:
        """Waits until the sampler has made its first reading; whether it has."""
        return self._ready() is not None

    def idle(self) -> None:
        """Waits `idle_s` and records the idle machine, if any of its energy can be measured."""
        if self._process is None or not self._spec.idle_s or not self._measures():
            return
        begin_ns = time.perf_counter_ns()
        self.mark(telemetry_log.IDLE)
        time.sleep(self._spec.idle_s)
        end_ns = time.perf_counter_ns()
        self.mark(f"end of {telemetry_log.IDLE}")
        self._windows.append(Window(name=telemetry_log.IDLE, begin_ns=begin_ns, end_ns=end_ns))

    def mark(self, text: str) -> None:
        """Has the sampler read everything now, so that counters need no interpolation here. Takes some microseconds."""
        if self._process is None or self._process.stdin is None:
            return
        try:
            os.write(self._process.stdin.fileno(), text.replace("\n", " ").encode() + b"\n")
        except OSError:  # the sampler has ended, which `finish` reports
            return

    def finish(self, windows: Sequence[Window]) -> tuple[WindowObservation, ...]:
        """Ends the sampler, adds the windows to the log, and says what was read in them. Call it once, after the run.

        `failure` then says why there is nothing, if there is nothing.
        """
        if self._process is None:
            return ()
        self._end()
        try:
            log = telemetry_log.read(self.path)
            measured = [*self._windows, *windows]
            telemetry_log.append(self.path, measured)
            if not log.rows:
                raise ValueError("it made no reading")
            log = telemetry_log.with_windows(log, measured)
            return observation.of_log(log, windows, spec=self._spec, meter_file=self._meter)
        except (OSError, ValueError) as error:
            self.failure = self.failure or f"the log of the machine can't be used: {error}"
            return ()

    def close(self) -> None:
        """Ends the sampler and deletes a temporary log; the last call. May be called more than once."""
        if self._process is not None:
            self._end()
        self._stack.close()

    def _started(self) -> subprocess.Popen[bytes] | None:
        asked = {
            "path": str(self.path),
            "rate_hz": self._spec.rate_hz,
            "powercap": self._spec.powercap,
            "parent": os.getpid(),
        }
        try:
            return subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), json.dumps(asked)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,  # Ctrl-C in the terminal does not reach it
            )
        except OSError as error:
            self.failure = f"the process that observes the machine could not be started: {error}"
            return None

    def _measures(self) -> bool:
        """Whether any energy can be measured here."""
        header = self._ready()
        if header is None:
            return False
        counted = [*header["zones"], *header["gpus"]]
        return self._meter is not None or any(not each["reason"] for each in counted)

    def _ready(self) -> dict[str, Any] | None:
        """The sampler's header, once it is ready; None if it does not get ready."""
        if self._header is None and self._process is not None and self._process.stdout is not None:
            out, line, deadline = self._process.stdout.fileno(), b"", time.monotonic() + _START_S
            while not line.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
                if not select.select([out], [], [], left)[0] or not (received := os.read(out, 1 << 16)):
                    return None
                line += received
            self._header = json.loads(line) if line.endswith(b"\n") else None
        return self._header

    def _end(self) -> None:
        """Ends the sampler, which then makes its last reading."""
        process = self._process
        if process is None or self._ended:
            return
        self._ended = True
        already = process.poll()
        self._ready()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            code = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if already is not None or code:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            self.failure = (
                f"the process that observes the machine ended early with exit code {code}"
                f"{f': {said[-1]}' if said else ''}"
            )


def checked_meter(spec: specs.TelemetrySpec, *, worker: int = 0, workers: int = 1) -> pathlib.Path | None:
    """The file of this worker's external meter; None without one. Call it before anything runs.

    Raises:
        UsageError: the file can't be used; says what is accepted.
    """
    if spec.meter_file is None:
        return None
    path = meter.file_of(spec.meter_file, worker=worker, workers=workers)
    meter.check(path)
    return path
