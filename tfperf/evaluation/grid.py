"""The combinations that an evaluation measures: every executable in every size, on every device."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

from tfperf import spec as specs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combination:
    """One combination.

    Attributes:
        executable: the compiled form.
        batch_size: samples in a request.
        instances: requests that are answered at the same time on each device.
        threads: CPU threads per operation; None leaves TensorFlow's own choice.
        device: such as `auto`, `cpu` or `gpu:2`.
    """

    executable: str
    batch_size: int
    instances: int
    threads: int | None = None
    device: str = "auto"

    def __str__(self) -> str:
        placed = [] if self.device == "auto" else [self.device]
        placed += [] if self.threads is None else [f"{self.threads} thread{'s' if self.threads > 1 else ''}"]
        return ", ".join([self.executable, f"batch {self.batch_size}", *placed])


def combinations(spec: specs.EvaluateSpec, executables: Sequence[str]) -> Iterator[Combination]:
    """All of them; the batch size and the instances change fastest."""
    for device, threads, executable, batch_size, instances in itertools.product(
        spec.device, spec.threads, executables, spec.batch_size, spec.instances
    ):
        yield Combination(
            executable=executable, batch_size=batch_size, instances=instances, threads=threads, device=device
        )
