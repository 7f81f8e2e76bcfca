"""A training run that is ready to start: the workers agree, the data has been found, and no model has been built."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark, QualityTarget, quality_of
from tfperf.system import allocator, assembly, devices, environment, preflight
from tfperf.training import session as sessions
from tfperf.training.plan import Plan
from tfperf.workspace import Workspace


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """A training run that is ready to start.

    Attributes:
        session: the benchmark on its devices.
        plan: how long it trains and when it is evaluated.
        benchmark: the benchmark that the spec names.
        target: the quality to reach.
        environment: the machine and the software.
        seed_given: whether the user set the seed.
        together: the workers.
    """

    session: sessions.Session
    plan: Plan
    benchmark: Benchmark
    target: QualityTarget
    environment: Mapping[str, Any]
    seed_given: bool
    together: assembly.Assembly


def prepare(
    spec: specs.TrainSpec, benchmark: Benchmark, workspace: Workspace, together: assembly.Assembly
) -> PreparedRun:
    """The run, once the workers agree on their data and devices, too. Needs no model.

    Raises:
        TfperfError: the workers differ, or the machine or the data can't run the spec.
    """
    captured = environment.capture({"keeps_freed_memory": allocator.keep_freed_memory()})
    # The exchange also waits for workers that take longer to import TensorFlow, whose own patience is shorter.
    drawn = together.exchange(secrets.randbits(31))[0]
    seed = drawn if spec.seed is None else spec.seed
    strategy = devices.strategy_for(workspace.device, workers=together.cluster)
    complete = dataclasses.replace(spec, seed=seed)
    sessions.set_globals(complete, seed=seed)
    task = benchmarks.training_task(benchmark)
    session = sessions.Session(
        spec=complete,
        task=task,
        strategy=strategy,
        data=task.open_data(complete.data, complete.model, workspace.data_dir),
        seed=seed,
        data_dir=workspace.data_dir,
        workers=together.cluster,
    )
    processors = devices.describe(strategy)
    preflight.agree(together, _found(session, processors))
    sessions.check(session)
    plan = sessions.planned(session)
    evaluation_steps = max(together.exchange(plan.evaluation_steps))  # the largest share decides
    return PreparedRun(
        session=session,
        plan=dataclasses.replace(plan, evaluation_steps=evaluation_steps),
        benchmark=benchmark,
        target=quality_of(task, spec),
        environment={**processors, **captured},
        seed_given=spec.seed is not None,
        together=together,
    )


def _found(session: sessions.Session, processors: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal on all workers and was found on them."""
    data = session.data
    kinds = sorted(device.split(":")[-2] for device in processors["devices"])
    return {
        "data": data.fingerprint,
        "training examples": data.train_examples,
        "evaluation examples": data.eval_examples,
        "devices of a worker": ", ".join(kinds),
    }
