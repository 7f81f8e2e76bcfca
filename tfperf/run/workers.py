"""The workers of a training run: who is here, and whether all are about to run the same thing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tfperf import config
from tfperf import spec as specs
from tfperf.system import assembly, cluster, environment, preflight


@contextlib.contextmanager
def agreed(spec: specs.TrainSpec, *, timeout_s: float) -> Iterator[assembly.Assembly]:
    """Waits for all workers that TF_CONFIG names and compares what is known without TensorFlow.

    TensorFlow takes seconds to import, so a worker that differs is named before.

    Args:
        spec: the spec of this worker, with the seed that the user set, if any.
        timeout_s: seconds to wait at most for the others.

    Raises:
        TfperfError: a worker is missing, or workers differ in their config, packages or code.
    """
    with assembly.assembled(cluster.from_environment(), timeout_s=timeout_s) as together:
        facts = {
            "config": config.as_dict(spec),
            "versions": environment.packages(),
            "code": environment.code_version(),
        }
        preflight.agree(together, facts)
        yield together
