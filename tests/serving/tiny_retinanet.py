"""RetinaNet with few filters on the embedded scenes, with the round and the settings of the real one."""

from __future__ import annotations

import dataclasses

from tfperf import benchmarks
from tfperf.benchmarks.benchmark import QualityTarget
from tfperf.benchmarks.retinanet.options import RetinaNetOptions

LEAST_MAP = 1e-6  # random weights find next to nothing
_SERVED = benchmarks.task("retinanet", "infer")

BENCHMARK = dataclasses.replace(
    benchmarks.get("retinanet"),
    name="tests.serving.tiny_retinanet",
    mlperf=False,
    training=None,
    inference=dataclasses.replace(
        _SERVED,
        quality=QualityTarget(metric="map", value=LEAST_MAP),
        reference_quality=LEAST_MAP,
        eval_samples=None,
        parameters=None,
        rules=None,
        checkpoints=None,
        options=RetinaNetOptions(
            image_size=96,
            blocks=(1, 1, 1, 1),
            width=16,
            groups=8,
            trained_stages=5,
            pyramid_width=16,
            head_layers=1,
            classes=8,
            sizes=((12, 16), (24, 32), (48, 64), (80, 90), (96, 128)),
        ),
    ),
)
