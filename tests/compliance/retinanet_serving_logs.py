"""Run directories of closed `retinanet` measurements by round v5.1: logs as LoadGen writes them."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import numpy as np

from tests.compliance import audited_run
from tests.compliance.serving_logs import SCENARIOS, SHARED_LINES
from tfperf import benchmarks, spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.detection.data.annotations import ClassList
from tfperf.benchmarks.detection.data.sources import OpenImagesFolder
from tfperf.benchmarks.detection.object_columns import ObjectColumns
from tfperf.compliance import rounds

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
        difficult=np.zeros(IMAGES, np.bool_),
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
    asked = spec.InferSpec(
        benchmark="retinanet",
        division=spec.Division.CLOSED,
        scenario=SCENARIOS[scenario],
        data=spec.Data(source=OpenImagesFolder()),
        model=benchmarks.task("retinanet", "infer").options,
    )
    return audited_run.write(
        run_dir,
        asked,
        lines={**SHARED_LINES, **(SEEDS if seeds is None else seeds), **counts, "effective_scenario": name, **own},
        samples=samples(),
        responses=responses(),
        audited=tuple(responses())[::97],
        sampling=256,
        weights="retinanet.safetensors",
    )
