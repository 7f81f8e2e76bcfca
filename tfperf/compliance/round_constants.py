"""What the rounds of MLPerf Inference fixed for each benchmark, to read published results by.

Source: MODEL_CONFIG of each version in the submission checker of mlcommons/inference, at the tags that `rounds` names.
"""

from __future__ import annotations

import dataclasses
import re

_PERCENT = re.compile(r'^(?:\{"accuracy|accuracy|mAP)[": ]*=?\s*([0-9]+(?:\.[0-9]+)?)', re.M)
_F1 = re.compile(r"""^\{["']exact_match["']:\s*[\d.]+,\s*["']f1["']:\s*([0-9]+(?:\.[0-9]+)?)\}""", re.M)
_SHORT_ROUNDS = ("v0.5", "v0.7")
_OFFLINE_SAMPLES = 24_576
# Later rounds stop early where the latencies show enough, and LoadGen judges that.
_COUNTING_ROUNDS = ("v0.7", "v1.0", "v1.1")
_QUERIES = {"SingleStream": 1_024, "Server": 270_336, "MultiStream": 270_336}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConstants:
    """What a result of one benchmark must show.

    Attributes:
        names: the names of its folder in results.
        target: the least accuracy of the closed division, in the unit of `accuracy.txt`.
        accuracy: the accuracy in `accuracy.txt`, as the checker reads it.
        performance_samples: the smallest accepted number of samples in memory.
        server_bound_ns: the largest accepted latency bound of Server; None without that scenario.
        offline_samples: the smallest accepted number of samples in an Offline query since v4.0.
    """

    names: tuple[str, ...]
    target: float
    accuracy: re.Pattern[str]
    performance_samples: int
    server_bound_ns: int | None
    offline_samples: int = _OFFLINE_SAMPLES


_BENCHMARKS = (
    BenchmarkConstants(
        names=("resnet", "resnet50"),
        target=76.46 * 0.99,
        accuracy=_PERCENT,
        performance_samples=1_024,
        server_bound_ns=15_000_000,
    ),
    BenchmarkConstants(
        names=("bert-99",),
        target=90.874 * 0.99,
        accuracy=_F1,
        performance_samples=10_833,
        server_bound_ns=130_000_000,
        offline_samples=10_833,
    ),
    BenchmarkConstants(
        names=("bert-99.9",),
        target=90.874 * 0.999,
        accuracy=_F1,
        performance_samples=10_833,
        server_bound_ns=130_000_000,
        offline_samples=10_833,
    ),
    BenchmarkConstants(
        names=("retinanet",),
        target=37.55 * 0.99,
        accuracy=_PERCENT,
        performance_samples=64,
        server_bound_ns=100_000_000,
    ),
    BenchmarkConstants(
        names=("ssd-large", "ssd-resnet34"),
        target=20.0 * 0.99,
        accuracy=_PERCENT,
        performance_samples=64,
        server_bound_ns=100_000_000,
    ),
    BenchmarkConstants(
        names=("ssd-small", "ssd-mobilenet"),
        target=22.0 * 0.99,
        accuracy=_PERCENT,
        performance_samples=256,
        server_bound_ns=None,
    ),
)


def named(folder: str) -> BenchmarkConstants | None:
    """The constants of the benchmark whose results lie in a folder of this name; None if they are not known."""
    return next((known for known in _BENCHMARKS if folder in known.names), None)


def min_duration_s(name: str) -> int:
    """The shortest accepted measurement of a round."""
    return 60 if name in _SHORT_ROUNDS else 600


def min_queries(name: str, scenario: str) -> int:
    """The smallest accepted `min_query_count` of a round."""
    return _QUERIES.get(scenario, 0) if name in _COUNTING_ROUNDS else 0


def offline_samples(name: str, benchmark: BenchmarkConstants) -> int:
    """The smallest accepted number of samples in an Offline query of a round."""
    return benchmark.offline_samples if name >= "v4.0" else _OFFLINE_SAMPLES
