"""Makes the records of text files in processes, one for each file: pure Python work that threads can't share.

A process gets its job as a line of JSON on stdin. It writes each record to stdout after its length, ends with 0 when
all are written, and with `DAMAGED` and a message on stderr when the text is at fault. It writes no file, and ends when
stdin is closed, so nothing is left of a preparation that was killed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, final

from tfperf.benchmarks.bert.pretraining.prepare import documents
from tfperf.benchmarks.bert.pretraining.prepare.chance import Chance
from tfperf.benchmarks.bert.pretraining.prepare.instances import Tokens, instances
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe
from tfperf.benchmarks.bert.pretraining.prepare.record import Serializer
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.benchmarks.text.vocabulary import Vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece
from tfperf.errors import DamagedDataError

DAMAGED = 3
LENGTH = struct.Struct("<I")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFile:
    """A file of text, and how it becomes records.

    Args:
        path: the text.
        vocabulary: the file of the vocabulary.
        recipe: lengths and shares.
        picked: as the reference's pick_eval_samples.py, keeps only this many records, evenly spaced; None keeps all.
    """

    path: pathlib.Path
    vocabulary: pathlib.Path
    recipe: Recipe
    picked: int | None = None

    def __str__(self) -> str:
        return str(self.path)


def records(text: TextFile, vocabulary: Vocabulary) -> list[bytes]:
    """The records of a file, in the order in which the reference writes them.

    Raises:
        DamagedDataError: the file is not UTF-8, or holds no text.
        OSError: it can't be read.
    """
    recipe, chance = text.recipe, Chance(text.recipe.seed)
    serializer = Serializer(recipe, pieces=len(vocabulary))
    found = documents.read(text.path, WordPiece(vocabulary))
    made = [serializer.record(each) for each in instances(found, Tokens.of(vocabulary), recipe, chance)]
    chance.shuffle(made)
    return made if text.picked is None else _evenly_spaced(made, text.picked)


def _evenly_spaced(made: list[bytes], count: int) -> list[bytes]:
    if len(made) <= count:
        return made
    ratio = len(made) / count
    return [made[int(number * ratio)] for number in range(count)]


@final
class RecordProcesses:
    """The processes that are running, so that they can be ended."""

    def __init__(self) -> None:
        """None is running."""
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def end(self) -> None:
        """Ends all of them, and each that is started later."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()

    def records(self, text: TextFile) -> Iterator[bytes]:
        """The records of a file, made in a process of its own.

        Raises:
            DamagedDataError: the file is not UTF-8, or holds no text.
        """
        job = {name: str(getattr(text, name)) for name in ("path", "vocabulary")}
        line = json.dumps({**job, "recipe": dataclasses.asdict(text.recipe), "picked": text.picked}) + "\n"
        with _started() as process:
            assert process.stdin is not None and process.stdout is not None and process.stderr is not None
            self._add(process)
            try:
                process.stdin.write(line.encode())
                process.stdin.flush()
                while length := process.stdout.read(LENGTH.size):
                    yield process.stdout.read(LENGTH.unpack(length)[0])
                said, code = process.stderr.read().decode(errors="replace").strip(), process.wait()
            finally:
                process.kill()
                self._remove(process)
        if code == DAMAGED:
            raise DamagedDataError(said)
        if code != 0:
            raise RuntimeError(f"The process that makes the records of {text} ended with {code}. {said}")

    def _add(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.add(process)
            if self._ended:
                process.kill()

    def _remove(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(process)


def _started() -> subprocess.Popen[bytes]:
    """The process of one job.

    Multiprocessing would run the caller's main module again, which only guarded scripts survive, and its workers
    outlive a killed parent.
    """
    path = os.pathsep.join(path for path in sys.path if path)
    # One thread: each file has a process of its own already.
    environment = os.environ | {"PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false"}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-m", __package__], stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


def main() -> int:
    """Does the job on stdin."""
    job: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    text = TextFile(
        path=pathlib.Path(job["path"]),
        vocabulary=pathlib.Path(job["vocabulary"]),
        recipe=Recipe(**job["recipe"]),
        picked=job["picked"],
    )
    try:
        made = records(text, vocabularies.read(text.vocabulary))
    except (DamagedDataError, OSError) as error:
        print(error, file=sys.stderr)
        return DAMAGED
    for record in made:
        sys.stdout.buffer.write(LENGTH.pack(len(record)) + record)
    sys.stdout.buffer.flush()
    return 0


def _end_with_parent() -> None:
    """Waits until stdin is closed, which also happens when the parent is killed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)
