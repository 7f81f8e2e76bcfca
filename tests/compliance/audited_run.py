"""The run directory of a closed measurement with TEST01 that is good in all that can be checked."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tests.compliance.serving_logs import PERFORMANCE_LINES, served_result, write_detail_log
from tfperf import benchmarks, config, loadgen_log, manifest, result, spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.compliance import audits


def write(
    run_dir: pathlib.Path,
    asked: spec.InferSpec,
    *,
    lines: Mapping[str, Any],
    samples: OpenSamples,
    responses: Mapping[int, bytes],
    audited: Sequence[int],
    sampling: int,
    weights: str,
) -> pathlib.Path:
    """Writes it.

    Args:
        run_dir: where.
        asked: the spec.
        lines: of LoadGen's detail log, besides those of the mode and of the result.
        samples: the evaluation set.
        responses: to all of it.
        audited: the numbers of the samples that TEST01 logs.
        sampling: how many TEST01 asks for.
        weights: the name of the file of weights.
    """
    measured = {**lines, "effective_test_mode": "PerformanceOnly", **PERFORMANCE_LINES}
    scored = {**lines, "effective_test_mode": "AccuracyOnly", "power_end": "11-21-2026 22:10:30.000"}
    sampled = {**measured, "effective_accuracy_log_sampling_target": sampling}
    task = benchmarks.task(asked.benchmark, "infer")
    for place, logged, numbers in (
        ("performance", measured, ()),
        ("accuracy", scored, tuple(responses)),
        ("TEST01/performance", sampled, audited),
    ):
        write_detail_log(run_dir / place, logged)
        (run_dir / place / loadgen_log.ACCURACY).write_text(_logged(responses, numbers), encoding="utf-8")
    quality = task.scoring.score(responses, samples)
    task.scoring.write(run_dir / "accuracy", responses, samples, quality)
    audits.verify("TEST01", run_dir, task=task, samples=samples)
    (run_dir / "user.conf").write_text("*.Offline.target_qps = 12\n", encoding="utf-8")
    accuracy = result.Quality(metric=task.quality.metric, value=quality, target=task.quality.value, reached=True)
    (run_dir / "spec.yaml").write_text(config.dump(asked), encoding="utf-8")
    file = {"path": weights, "sha256": hashlib.sha256(b"").hexdigest()}
    outcome = served_result(asked, measured=measured, accuracy=accuracy, weights=file, batch_sizes=(1, 4))
    result.write(run_dir / "result.json", outcome)
    manifest.write(run_dir, division="closed", code_version="test")
    return run_dir


def _logged(responses: Mapping[int, bytes], numbers: Sequence[int]) -> str:
    rows = (
        f'{{ "seq_id" : {place}, "qsl_idx" : {number}, "data" : "{responses[number].hex().upper()}" }}'
        for place, number in enumerate(numbers)
    )
    return "[\n" + ",\n".join(rows) + "\n]\n"
