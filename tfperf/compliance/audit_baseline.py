"""The second way to pass TEST01: equal accuracy over the sampled responses where their bits differ.

A sample gives slightly different outputs in batches of different sizes, which the rules accept. The official way
(`compliance/TEST01/README.md` and `create_accuracy_baseline.sh` in mlcommons/inference) reduces the accuracy run to the
samples that the test logged, and compares the accuracy of both.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
import tempfile
from collections.abc import Callable, Collection, Mapping

from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples

# The names of the evidence in a submission (REQUIRED_TEST01_ACC_FILES of the submission checker), and of the reduced
# log that create_accuracy_baseline.sh writes.
BASELINE_FILE = "baseline_accuracy.txt"
COMPLIANCE_FILE = "compliance_accuracy.txt"
FILES = (BASELINE_FILE, COMPLIANCE_FILE)
BASELINE_LOG = "mlperf_log_accuracy_baseline.json"

_SAMPLE = re.compile(r'"qsl_idx"\s*:\s*(\d+)')
_ROUNDING = 1e-9

Responses = Mapping[int, bytes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineComparison:
    """The accuracy of a compliance test beside that of the accuracy run over the same samples.

    Attributes:
        samples: how many samples the test logged.
        baseline: the accuracy of the accuracy run over them.
        audited: the accuracy of the test.
        tolerance: the largest accepted difference, as a share.
        problem: why there is no accuracy; empty if there is.
    """

    samples: int
    tolerance: float
    baseline: float = math.nan
    audited: float = math.nan
    problem: str = ""

    @property
    def difference(self) -> float:
        """The difference as the submission checker computes it, as a share; NaN or infinite where there is none."""
        if not self.baseline or not self.audited:  # which the submission checker fails
            return math.inf
        return abs(1 - self.baseline / self.audited)

    @property
    def passed(self) -> bool:
        """Whether the two are close enough."""
        return not self.problem and self.difference <= self.tolerance + _ROUNDING

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        return (
            f"over {self.samples} samples the accuracy is {self.audited:.6g} in the test and {self.baseline:.6g} in "
            f"the accuracy run, a difference of {100 * self.difference:.4g} %; {100 * self.tolerance:.4g} % is accepted"
        )


def tolerance(task: InferenceTask) -> float:
    """The accepted difference, as a share: 1 % where the target is 99 % of the reference, 0.1 % where it is 99.9 %."""
    return round(1 - task.quality.value / task.reference_quality, 4)


def compare(
    logged: Responses, sampled: Responses, *, score: Callable[[Responses], float], tolerance: float
) -> BaselineComparison:
    """Compares the accuracy of two runs over the samples that both answered.

    Args:
        logged: the responses of the accuracy run, by sample number.
        sampled: the responses of the test that were logged.
        score: responses -> their accuracy.
        tolerance: the largest accepted difference, as a share.
    """
    numbers = [number for number in sampled if number in logged]
    try:
        baseline, audited = (score({number: of[number] for number in numbers}) for of in (logged, sampled))
    except (OSError, ValueError) as error:
        return BaselineComparison(samples=len(numbers), tolerance=tolerance, problem=str(error))
    return BaselineComparison(samples=len(numbers), tolerance=tolerance, baseline=baseline, audited=audited)


def write(audit_dir: pathlib.Path, accuracy_dir: pathlib.Path, *, task: InferenceTask, samples: OpenSamples) -> None:
    """Writes the evidence into `accuracy/` in `audit_dir`: the reduced log, and the accuracy of both runs.

    Args:
        audit_dir: holds LoadGen's logs of the test in `performance/`.
        accuracy_dir: LoadGen's logs of the accuracy run.
        task: how the benchmark is scored.
        samples: the evaluation set.
    """
    folder = audit_dir / "accuracy"
    folder.mkdir(exist_ok=True)
    logged, sampled = loadgen_log.answers(accuracy_dir), loadgen_log.answers(audit_dir / "performance")
    numbers = [number for number in sampled if number in logged]
    _reduce(accuracy_dir / loadgen_log.ACCURACY, numbers, folder / BASELINE_LOG)
    for name, responses in ((BASELINE_FILE, logged), (COMPLIANCE_FILE, sampled)):
        kept = {number: responses[number] for number in numbers}
        (folder / name).write_text(_accuracy_line(kept, task=task, samples=samples), encoding="utf-8")


def _reduce(log: pathlib.Path, numbers: Collection[int], path: pathlib.Path) -> None:
    """Writes the lines of the accuracy log for these samples, as create_accuracy_baseline.sh does."""
    chosen = set(numbers)
    with log.open(encoding="utf-8") as lines:
        kept = [line.rstrip("\n") for line in lines if _number(line) in chosen]
    if kept:
        kept[-1] = kept[-1].removesuffix(",")
    path.write_text("".join(f"{line}\n" for line in ("[", *kept, "]")), encoding="utf-8")


def _number(line: str) -> int | None:
    found = _SAMPLE.search(line)
    return None if found is None else int(found[1])


def _accuracy_line(responses: Responses, *, task: InferenceTask, samples: OpenSamples) -> str:
    """The line that the benchmark's accuracy script prints for these responses."""
    with tempfile.TemporaryDirectory(prefix="tfperf-") as scratch:
        folder = pathlib.Path(scratch)
        task.scoring.write(folder, responses, samples, task.scoring.score(responses, samples))
        return (folder / task.scoring.files[0]).read_text(encoding="utf-8")
