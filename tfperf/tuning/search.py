"""The search of a sweep: starts keras-tuner's processes and watches them until they end."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from tfperf.errors import TfperfError
from tfperf.tuning import project as projects
from tfperf.tuning import trial_process
from tfperf.tuning.project import Project
from tfperf.tuning.trials_table import LiveTable

_POLL_S = 0.5
_EXIT_S = 10.0


def run(project: Project, *, workers: int, shown: LiveTable) -> None:
    """Runs keras-tuner until the search is over.

    Raises:
        TfperfError: one of its processes failed.
        KeyboardInterrupt: one of its processes was interrupted.
    """
    chief: dict[str, str] = {}
    if workers > 1:
        chief = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(_free_port())}
    ids = [f"worker{number}" for number in range(workers)] if workers > 1 else [""]
    with contextlib.ExitStack() as stack:
        if workers > 1:
            leads = stack.enter_context(_process(project, "chief", {**chief, "KERASTUNER_TUNER_ID": "chief"}))
        processes = {
            name: stack.enter_context(
                _process(project, name, {**chief, **({"KERASTUNER_TUNER_ID": name} if name else {})})
            )
            for name in ids
        }
        while any(process.poll() is None for process in processes.values()):
            _check(project, {**processes, **({"chief": leads} if workers > 1 else {})})
            shown.draw()
            time.sleep(_POLL_S)
        _check(project, processes)
        shown.draw()


@contextlib.contextmanager
def _process(project: Project, name: str, more: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A keras-tuner process of the sweep. It does not outlive the block."""
    command = [
        sys.executable,
        "-m",
        "tfperf.tuning.tuner_process",
        str(project.path),
        projects.workspace_as_json(project.workspace),
    ]
    command.append(str(os.getpid()))
    with _log(project, name).open("ab", buffering=0) as log:
        log.write(b"internal sweep\n")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=trial_process.environment(**more)
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=_EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check(project: Project, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Raises when a process of the sweep has failed, since the others would wait for it."""
    for name, process in processes.items():
        if process.poll():
            if process.returncode in (130, -2):
                raise KeyboardInterrupt
            log = _log(project, name)
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise TfperfError(
                f"A process of the sweep ended with exit code {process.returncode}: {' '.join(last)} Its whole output "
                f"is in {log}. Run the same command again to continue."
            )


def _log(project: Project, name: str) -> pathlib.Path:
    return project.path / f"{name or 'tuner'}-{socket.gethostname()}.log"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
