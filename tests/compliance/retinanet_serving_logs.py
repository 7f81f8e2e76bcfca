"""Run directories of closed `retinanet` measurements by round v5.1: logs as LoadGen writes them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib

import numpy as np

from tests.compliance.serving_logs import PERFORMANCE_LINES, SCENARIOS, SHARED_LINES, served_result, write_detail_log
from tfperf import benchmarks, config, loadgen_log, manifest, result, spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.detection.data.annotations import ClassList
from tfperf.benchmarks.detection.data.sources import OpenImagesFolder
from tfperf.benchmarks.detection.object_columns import ObjectColumns
from tfperf.compliance import audits, rounds

IMAGES = 24_781
RIGHT = 60  # in 100
SIDE = 800
SEEDS = dict(
    zip(
        ("effective_qsl_rng_seed", "effective_sample_index_rng_seed", "effective_schedule_rng_seed"),
        rounds.of_task(benchmarks.task("retinanet", "infer")).seeds,
        strict=True,
    )
)
SCENARIO_LINES = {
    "singlestream": ("SingleStream", {"effective_min_query_count": 100, "early_stopping_latency_ss": 905_100_300}),
    "multistream": (
        "MultiStream",
        {
            "effective_samples_per_query": 8,
            "effective_min_query_count": 662,
            "early_stopping_latency_ms": 7_240_011_039,
        },
    ),
    "offline": (
        "Offline",
        {"effective_samples_per_query": 24_576, "effective_min_query_count": 24_576, "result_samples_per_second": 1.25},
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Truth:
    """The part of `DetectionTruth` that scoring reads."""

    columns: ObjectColumns
    classes: ClassList


@functools.cache
def samples() -> OpenSamples:
    """As many images as MLPerf's part of OpenImages has, each with one object in its middle."""
    classes = ClassList(names=tuple(f"class {number}" for number in range(264)), category_ids=tuple(range(1, 265)))
    columns = ObjectColumns(
        sizes=np.full((IMAGES, 2), SIDE),
        starts=np.arange(IMAGES + 1),
        boxes=np.tile([200.0, 200.0, 600.0, 600.0], (IMAGES, 1)),
        classes=np.arange(IMAGES) % 264,
        areas=np.full(IMAGES, 160_000.0),
        crowd=np.zeros(IMAGES, np.bool_),
        category_ids=classes.category_ids,
    )
    return OpenSamples(
        total=IMAGES,
        load=lambda indices: (),
        labels=lambda: Truth(columns=columns, classes=classes),
        names=lambda: tuple(f"{number:016x}.jpg" for number in range(IMAGES)),
        fingerprint="",
    )


@functools.cache
def responses() -> dict[int, bytes]:
    """The detection in each image; those of 40 in 100 lie beside the object."""
    columns = samples().labels().columns
    rows = np.zeros((IMAGES, 7), "<f4")
    rows[:, 0] = np.arange(IMAGES)
    rows[:, 1:5] = columns.boxes[:, (1, 0, 3, 2)] / SIDE
    rows[np.random.default_rng(0).permutation(IMAGES) % 100 >= RIGHT, 1:5] = [0, 0, 0.1, 0.1]
    rows[:, 5] = 0.9
    rows[:, 6] = 1 + columns.classes
    return {number: row.tobytes() for number, row in enumerate(rows)}


def write_run(run_dir: pathlib.Path, scenario: str, *, seeds: dict[str, int] | None = None) -> pathlib.Path:
    """Writes the run directory of a closed measurement with TEST01 that is good in all that can be checked."""
    name, own = SCENARIO_LINES[scenario]
    counts = {"effective_performance_sample_count": 64, "effective_accuracy_sample_count": IMAGES}
    shared = {**SHARED_LINES, **(SEEDS if seeds is None else seeds), **counts, "effective_scenario": name, **own}
    measured = {**shared, "effective_test_mode": "PerformanceOnly", **PERFORMANCE_LINES}
    scored = {**shared, "effective_test_mode": "AccuracyOnly", "power_end": "11-21-2026 22:10:30.000"}
    sampled = {**measured, "effective_accuracy_log_sampling_target": 256}
    found, task = responses(), benchmarks.task("retinanet", "infer")
    for place, lines, logged in (
        ("performance", measured, ()),
        ("accuracy", scored, tuple(found)),
        ("TEST01/performance", sampled, tuple(found)[::97]),
    ):
        write_detail_log(run_dir / place, lines)
        (run_dir / place / loadgen_log.ACCURACY).write_text(_logged(logged), encoding="utf-8")
    quality = task.scoring.score(found, samples())
    task.scoring.write(run_dir / "accuracy", found, samples(), quality)
    audits.verify("TEST01", run_dir, task=task, samples=samples())
    (run_dir / "user.conf").write_text("*.Offline.target_qps = 1\n", encoding="utf-8")
    asked = spec.InferSpec(
        benchmark="retinanet",
        division=spec.Division.CLOSED,
        scenario=SCENARIOS[scenario],
        data=spec.Data(source=OpenImagesFolder()),
        model=task.options,
    )
    accuracy = result.Quality(metric="map", value=quality, target=task.quality.value, reached=True)
    (run_dir / "spec.yaml").write_text(config.dump(asked), encoding="utf-8")
    weights = {"path": "retinanet.safetensors", "sha256": hashlib.sha256(b"").hexdigest()}
    outcome = served_result(asked, measured=measured, accuracy=accuracy, weights=weights, batch_sizes=(1, 4))
    result.write(run_dir / "result.json", outcome)
    manifest.write(run_dir, division="closed", code_version="test")
    return run_dir


def _logged(numbers: tuple[int, ...]) -> str:
    found = responses()
    rows = (
        f'{{ "seq_id" : {place}, "qsl_idx" : {number}, "data" : "{found[number].hex().upper()}" }}'
        for place, number in enumerate(numbers)
    )
    return "[\n" + ",\n".join(rows) + "\n]\n"
