"""What a SUT recorded, as arrays."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """One run as its SUT saw it; every stamp is of one clock, in nanoseconds.

    Attributes:
        issued_ns: when each query came, int64 [queries], in the order of completion like the next two.
        latency_ns: from then to the end of the call that completed it.
        queue_ns: from when it came to when the model began with it, so with its staging.
        started_ns: when the model began with each execution, int64 [executions].
        staging_ns: before that, to bring its samples into the form that the model takes; maybe while another computed.
        compute_ns: of the model.
        samples: real ones, without padding.
    """

    issued_ns: np.ndarray
    latency_ns: np.ndarray
    queue_ns: np.ndarray
    started_ns: np.ndarray
    staging_ns: np.ndarray
    compute_ns: np.ndarray
    samples: np.ndarray

    def __post_init__(self) -> None:
        for names in (("issued_ns", "latency_ns", "queue_ns"), ("started_ns", "staging_ns", "compute_ns", "samples")):
            shapes = {name: getattr(self, name).shape for name in names}
            if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
                raise ValueError(f"{', '.join(names)} must be as long as each other and flat, got shapes {shapes}.")

    @property
    def ended_ns(self) -> np.ndarray:
        """When the model was done with each execution, int64 [executions]."""
        return np.asarray(self.started_ns + self.compute_ns)
