"""The search of a sweep: the processes of keras-tuner, from their start to their end."""

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
from tfperf.tuning import attempt, project
from tfperf.tuning.project import Project
from tfperf.tuning.trials_table import LiveTable

_LOOK_EVERY_S = 0.5
_FAREWELL_S = 10.0


def run(opened: Project, *, workers: int, shown: LiveTable) -> None:
    """Lets keras-tuner search until it is over, or raises with what ended it."""
    chief: dict[str, str] = {}
    if workers > 1:
        chief = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(_free_port())}
    ids = [f"worker{number}" for number in range(workers)] if workers > 1 else [""]
    with contextlib.ExitStack() as stack:
        if workers > 1:
            leads = stack.enter_context(_member(opened, "chief", {**chief, "KERASTUNER_TUNER_ID": "chief"}))
        members = {
            name: stack.enter_context(
                _member(opened, name, {**chief, **({"KERASTUNER_TUNER_ID": name} if name else {})})
            )
            for name in ids
        }
        while any(member.poll() is None for member in members.values()):
            _check(opened, {**members, **({"chief": leads} if workers > 1 else {})})
            shown.draw()
            time.sleep(_LOOK_EVERY_S)
        _check(opened, members)
        shown.draw()


@contextlib.contextmanager
def _member(opened: Project, name: str, more: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A keras-tuner process of the sweep; it does not outlive the block."""
    command = [sys.executable, "-m", "tfperf.tuning.member", str(opened.path), project.place_as_json(opened.place)]
    command.append(str(os.getpid()))
    with _log(opened, name).open("ab", buffering=0) as log:
        log.write(b"internal sweep\n")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=attempt.environment(**more)
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=_FAREWELL_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check(opened: Project, members: dict[str, subprocess.Popen[bytes]]) -> None:
    """Raises when a process of the sweep has failed: the others would wait for it."""
    for name, member in members.items():
        if member.poll():
            if member.returncode in (130, -2):
                raise KeyboardInterrupt
            log = _log(opened, name)
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise TfperfError(
                f"A process of the sweep ended with exit code {member.returncode}: {' '.join(last)} All it said is in "
                f"{log}. Run the same command again to go on."
            )


def _log(opened: Project, name: str) -> pathlib.Path:
    return opened.path / f"{name or 'tuner'}-{socket.gethostname()}.log"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
