"""Which compiled forms to compare, and how the chosen one will be used."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Literal

from tfperf import spec
from tfperf.inference import forms, objective
from tfperf.inference.comparison_samples import ComparedModel
from tfperf.inference.executable import Bucket
from tfperf.inference.forms.memory_needed import memory_needed_bytes
from tfperf.system import memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormComparison:
    """Which forms to compare, and how they will be used.

    Attributes:
        model: the model.
        scenario: how samples arrive.
        directory: gets a subdirectory for each form; only those of the chosen form and of the next best are kept.
        threads: CPU threads per operation.
        instances: copies that will be served at the same time, each of which takes memory. With `auto`, one is compared
            and then 1, 2, 4, ... instances of the chosen form, see `instance_choice`.
        instance_threads: with `auto`, threads of each instance; None divides the processors among them.
        device: the device to serve on, as in `machine.environment`.
        executable: `auto`, or the form to choose whatever its speed and accuracy. A chosen form of lower precision is
            still compared with the plain function in float32; one in float32 is not compared with anything.
        batch_sizes: the batch sizes to measure; None takes the scenario's, without those whose execution takes too
            long.
        latency_bound_ns: the latency bound in Server.
        considered: the forms that `auto` considers.
        confirmed: whether the accuracy will be measured on the whole evaluation set. Without this, `auto` takes a form
            of lower precision only if the calibration samples prove that it is accurate enough.
        timeout_s: the time limit for each step of a process, or ten times what the whole process of the plain function
            in float32 took, if more.
    """

    model: ComparedModel
    scenario: spec.Scenario
    directory: pathlib.Path
    threads: int
    instances: int | Literal["auto"] = 1
    instance_threads: int | None = None
    device: spec.Device | None = None
    executable: str = "auto"
    batch_sizes: tuple[int, ...] | None = None
    latency_bound_ns: int | None = None
    considered: Sequence[str] = forms.FORMS
    confirmed: bool = True
    timeout_s: float = 900.0

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that the forms are measured at."""
        return objective.buckets_for(self.scenario, lengths=self.model.lengths, batch_sizes=self.batch_sizes)

    @property
    def longest_ns(self) -> int | None:
        """Buckets whose execution takes longer are left out; None if there is no limit or the user chose the sizes."""
        if self.batch_sizes:
            return None
        return objective.longest_execution_ns(self.scenario, latency_bound_ns=self.latency_bound_ns)

    @property
    def compared_instances(self) -> int:
        """The instances that run while forms are compared."""
        return 1 if self.instances == "auto" else self.instances

    @property
    def timed(self) -> pathlib.Path:
        """The file of the samples that forms are measured with."""
        return self.directory / "timed.samples"

    def lacks_memory(self, form: str, *, instances: int) -> str | None:
        """Why this many instances of a form wouldn't fit into memory; None if they would."""
        needed = memory_needed_bytes(
            form, weights_bytes=self.model.weights_bytes, buckets=len(self.buckets), instances=instances
        )
        available = memory.available_bytes()
        if available is None or needed <= available:
            return None
        return f"it takes about {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are available"
