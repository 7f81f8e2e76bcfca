"""Which of the waiting samples run next, and in which batch size: a rule without a clock or a thread.

An executor that is free does not wait for more samples: those that arrive while batches run make the next one larger
by themselves, and at a low rate each sample is answered at once. (Simulated with Poisson arrivals, waiting for
up to 5 to 40 % of the bound held the same rates or lower ones.) What remains to be chosen:

1. A sample that could not be answered within the bound even by the quickest execution is late. It gives way to those
   that still can be on time, and fills padding; it goes first again once it is `PATIENCE` bounds old, so it never
   starves. First come, first served would make a whole burst late where a few samples need to be: 99 % count.
2. Of the batch sizes the one with the most answers on time for each second of its execution is taken. Padding counts
   as no answer, so one sample is not padded to 64 unless that is as quick; late samples in it count a little, and what
   would become late meanwhile counts against the choice.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Mapping, Sequence

ON_TIME = 0.95  # share of the bound that is planned with; the rest is for LoadGen's own delays and slow executions
PATIENCE = 1000
_HARDLY_LONGER = 1.25

# Beside one answer on time: a late sample that fills padding, and a sample that becomes late. In the simulation of the
# tests 0 for either holds lower rates, and so does 1 for what becomes late.
_WEIGHT_OF_FILLING = 0.3
_WEIGHT_OF_LATE = 0.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """What to run now.

    Attributes:
        size: the batch size.
        first: the place of its first sample among those that can be on time, oldest first.
        count: how many of those, from `first` on.
        late: how many of the late ones, oldest first.
    """

    size: int
    first: int
    count: int
    late: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """The rule for one model and one bound.

    Args:
        execution_ns: time of one execution by batch size.
        bound_ns: latency that answers should keep within; infinite when there is none.
    """

    execution_ns: Mapping[int, float]
    bound_ns: float = math.inf
    _plan: tuple[tuple[int, float], ...] = dataclasses.field(init=False, repr=False)
    _planned_ns: float = dataclasses.field(init=False, repr=False)
    _late_plan: tuple[tuple[int, float], ...] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        times = self.execution_ns
        if not times or min(times) < 1 or not all(math.isfinite(time) and time > 0 for time in times.values()):
            raise ValueError(f"execution_ns must hold a time above 0 for each batch size, got {dict(times)!r}.")
        if not self.bound_ns > 0:
            raise ValueError(f"bound_ns must be above 0, got {self.bound_ns!r}.")
        planned_ns = ON_TIME * self.bound_ns
        object.__setattr__(self, "_planned_ns", planned_ns)
        object.__setattr__(self, "_plan", _useful(times, within_ns=planned_ns))
        object.__setattr__(
            self, "_late_plan", _useful(times, within_ns=max(planned_ns / 2, _HARDLY_LONGER * min(times.values())))
        )

    def late(self, issued_ns: Sequence[int], *, now_ns: int) -> int:
        """How many of the samples, oldest first, can no longer be on time."""
        return bisect.bisect_left(issued_ns, now_ns - self._planned_ns + self._plan[0][1])

    def choose(self, issued_ns: Sequence[int], late_issued_ns: Sequence[int], *, now_ns: int) -> Batch:
        """The batch to run now.

        Args:
            issued_ns: when the samples that can be on time were issued, oldest first.
            late_issued_ns: likewise those that are late.
            now_ns: the time, on the same clock.

        Raises:
            ValueError: nothing is waiting.
        """
        waiting, late = len(issued_ns), len(late_issued_ns)
        if late and (not waiting or now_ns - late_issued_ns[0] > PATIENCE * self.bound_ns):
            size = self._fitting(late + waiting)
            taken = min(size, late)
            return Batch(size=size, first=0, count=min(size - taken, waiting), late=taken)
        if not waiting:
            raise ValueError("Nothing is waiting, so there is nothing to choose.")
        size, first = self._most_on_time(issued_ns, late, now_ns)
        count = min(size, waiting - first)
        return Batch(size=size, first=first, count=count, late=min(size - count, late))

    def _fitting(self, waiting: int) -> int:
        """The batch size with the most answers a second, whoever's, that holds nobody up for long."""
        return max(self._late_plan, key=lambda entry: (min(waiting, entry[0]) / entry[1], -entry[0]))[0]

    def _most_on_time(self, issued_ns: Sequence[int], late: int, now_ns: int) -> tuple[int, int]:
        """The batch size of the highest value for its time, and the first sample that is on time in it."""
        best, chosen, waiting = -math.inf, (self._plan[0][0], 0), len(issued_ns)
        earliest = now_ns - self._planned_ns
        for size, time in self._plan:
            first = 0 if issued_ns[0] >= earliest + time else bisect.bisect_left(issued_ns, earliest + time)
            count = min(size, waiting - first)
            value = (count + _WEIGHT_OF_FILLING * min(size - count, late) - _WEIGHT_OF_LATE * first) / time
            if count and value > best:
                best, chosen = value, (size, first)
            if size >= waiting + late:
                break  # larger ones only hold more padding
        return chosen


def _useful(times: Mapping[int, float], *, within_ns: float) -> tuple[tuple[int, float], ...]:
    """Batch sizes within the limit and quicker than all larger ones, ascending; at least the quickest of all."""
    plan: list[tuple[int, float]] = []
    for size, time in sorted(times.items(), reverse=True):
        if not plan or time < plan[0][1]:
            plan.insert(0, (size, time))
    return tuple(entry for entry in plan if entry[1] <= within_ns) or (plan[0],)
