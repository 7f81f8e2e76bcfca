"""The accuracy of an accuracy run: from LoadGen's log to the quality, and the files that a submission wants of it."""

from __future__ import annotations

import pathlib

import numpy as np

from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples
from tfperf.errors import TfperfError

ACCURACY_LINE = "accuracy.txt"
LABEL_MAP = "val_map.txt"


def responses(log_dir: pathlib.Path) -> dict[int, bytes]:
    """The logged response of each sample; of a sample that was answered twice, as padding in MultiStream is, the first.

    Raises:
        TfperfError: the log is cut off.
    """
    found: dict[int, bytes] = {}
    try:
        for number, data in loadgen_log.responses(log_dir):
            found.setdefault(number, bytes.fromhex(data))
    except ValueError as error:
        raise TfperfError(f"{error}. The accuracy run did not end.") from error
    return found


def score(log_dir: pathlib.Path, task: InferenceTask, samples: OpenSamples) -> float:
    """The quality of the run; writes `accuracy.txt` and `val_map.txt` beside the log.

    Both as mlcommons/inference `vision/classification_and_detection/tools/accuracy-imagenet.py` writes and reads them.
    """
    labels = samples.labels()
    quality = task.score(responses(log_dir), labels)
    right = round(quality * len(labels))
    line = f"accuracy={100 * quality:.3f}%, good={right}, total={len(labels)}\n"
    (log_dir / ACCURACY_LINE).write_text(line, encoding="utf-8")
    _write_label_map(log_dir / LABEL_MAP, samples.names(), labels)
    return quality


def _write_label_map(path: pathlib.Path, names: tuple[str, ...], labels: np.ndarray) -> None:
    lines = [f"{name} {label}\n" for name, label in zip(names, labels, strict=True)]
    path.write_text("".join(lines), encoding="utf-8")
