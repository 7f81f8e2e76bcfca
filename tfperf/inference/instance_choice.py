"""Chooses how many instances of a compiled form to serve, and with how many threads each, by measuring them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tfperf import spec
from tfperf.inference import candidate_build, objective
from tfperf.inference.candidate_build import CandidateBuild
from tfperf.inference.chosen_form import ChosenForm
from tfperf.inference.executable import Bucket
from tfperf.inference.form_comparison import FormComparison
from tfperf.inference.forms.machine import UnavailableError
from tfperf.system import devices

_WORTH = 1.03  # more instances take more memory, so they have to be this much faster


class Layout(NamedTuple):
    """Instances that run at the same time, and the threads of each."""

    instances: int
    threads: int

    def __str__(self) -> str:
        return f"{self.instances} x {self.threads}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenLayout:
    """The layout that was chosen.

    Attributes:
        layout: the layout.
        execution_ns: median time of one execution by bucket while all instances run.
        note: what was measured, for the result.
    """

    layout: Layout
    execution_ns: Mapping[Bucket, float]
    note: str


def with_instances(
    comparison: FormComparison, chosen: ChosenForm, *, on_progress: Callable[[str], None] = lambda text: None
) -> ChosenForm:
    """The form with the best number of instances and threads, if the comparison leaves them to `auto`.

    Args:
        comparison: the comparison that chose the form.
        chosen: the form.
        on_progress: called with the current step.

    Raises:
        UnavailableError: not even one instance can be measured again.
    """
    if comparison.instances != "auto":
        return chosen
    form, model = chosen.executable, comparison.model
    build = CandidateBuild(
        form=form,
        directory=chosen.directory,
        load_model=None,
        inputs=model.task.inputs(model.options),
        outputs=model.task.outputs(model.options),
        timed=comparison.timed,
        buckets=chosen.buckets,
        longest_ns=comparison.longest_ns,
        threads=comparison.threads,
        device=comparison.device,
    )
    found = choose(
        build,
        scenario=comparison.scenario,
        cores=devices.usable_cores(),
        threads=comparison.instance_threads,
        length_shares=chosen.length_shares,
        fits=lambda layout: comparison.lacks_memory(form, instances=layout.instances) is None,
        on_progress=lambda text: on_progress(f"{form}: {text}"),
        timeout_s=comparison.timeout_s,
    )
    return dataclasses.replace(
        chosen,
        execution_ns=found.execution_ns,
        instances=found.layout.instances,
        threads=found.layout.threads,
        notes=(*chosen.notes, found.note),
    )


def layouts(*, cores: int, threads: int | None) -> tuple[Layout, ...]:
    """The layouts to measure: 1, 2, 4, ... instances that share the cores.

    Args:
        cores: the cores to use.
        threads: the threads of each instance; None divides the cores.
    """
    most = max(1, cores // (threads or 1))
    counts = sorted({2**power for power in range(most.bit_length())} | {most})
    return tuple(Layout(count, threads or cores // count) for count in counts)


def choose(
    build: CandidateBuild,
    *,
    scenario: spec.Scenario,
    cores: int,
    threads: int | None,
    length_shares: Mapping[int | None, float] | None = None,
    fits: Callable[[Layout], bool] = lambda layout: True,
    on_progress: Callable[[str], None] = lambda text: None,
    timeout_s: float = 900.0,
) -> ChosenLayout:
    """Measures a built form in each layout, and takes the one with the most samples per second.

    The best one and the one with the fewest instances are measured twice, and the better time of each bucket counts.

    Args:
        build: how the form is measured; without a model to build.
        scenario: how samples arrive; Server or Offline.
        cores: the cores to use.
        threads: the threads of each instance; None divides the cores.
        length_shares: as in `objective.cost_ns`.
        fits: whether a layout fits into memory.
        on_progress: called with the current step.
        timeout_s: as in `candidate_build.run`.

    Raises:
        UnavailableError: no layout can be measured.
    """
    times: dict[Layout, Mapping[Bucket, float]] = {}
    refused: dict[Layout, str] = {}

    def rate(layout: Layout) -> float:
        return 1e9 * layout.instances / objective.cost_ns(scenario, times[layout], length_shares=length_shares)

    def measure(layout: Layout) -> None:
        try:
            built = candidate_build.run(
                dataclasses.replace(build, instances=layout.instances, threads=layout.threads),
                on_progress=lambda text: on_progress(f"{layout.instances} instances: {text}"),
                timeout_s=timeout_s,
            )
        except UnavailableError as error:
            refused[layout] = str(error).rstrip(".")
            return
        earlier = times.get(layout, {})
        times[layout] = {
            bucket: min(earlier.get(bucket, time_ns), time_ns) for bucket, time_ns in built.execution_ns.items()
        } | {bucket: time_ns for bucket, time_ns in earlier.items() if bucket not in built.execution_ns}

    for layout in layouts(cores=cores, threads=threads):
        if not times or fits(layout):
            measure(layout)
    if not times:
        raise UnavailableError("; ".join(refused.values()))
    if len(times) > 1:
        for layout in dict.fromkeys((max(times, key=rate), min(times))):
            measure(layout)
    fewest, best = min(times), max(times, key=rate)
    chosen = best if rate(best) >= _WORTH * rate(fewest) else fewest
    measured = ", ".join(f"{layout}: {_rate(rate(layout))} samples/s" for layout in sorted(times))
    failed = "".join(f", {layout}: {reason}" for layout, reason in refused.items())
    return ChosenLayout(
        layout=chosen,
        execution_ns=times[chosen],
        note=f"instances x threads were chosen by measurement: {chosen} ({measured}{failed})",
    )


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 1000 else f"{per_s:,.4g}"
