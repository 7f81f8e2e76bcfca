"""Which of the waiting samples run next, and in which batch: a rule without a clock or a thread.

A free executor does not wait for more samples. Samples that arrive while a batch runs make the next one larger anyway,
and at a low rate each sample is answered at once. (In a simulation with Poisson arrivals, waiting for up to 5 to 40 %
of the bound held the same rates or lower ones.) The rule decides the rest:

1. Samples of different lengths wait in separate lists. The list whose oldest sample has the least time to spare runs
   next: the rest of its bound, less the quickest execution at its length. (In the simulation of the tests, the list
   with the most answers on time per second held the same rates, and made most samples of a rare, long length late.)
2. A sample is late when even the quickest execution could not answer it within the bound. It makes way for samples that
   can still be on time, and fills padding. Once it is `PATIENCE` bounds old it goes first again, so it never starves.
   First come, first served would make a whole burst late instead of a few samples, and 99 % count.
3. The batch size with the most answers on time per second of its execution runs. Padding counts as no answer, so one
   sample is not padded to 64 unless that is as quick. Late samples in the batch count a little; samples that would
   become late meanwhile count against it.
4. Shorter samples fill the padding of that batch, and a larger batch of the same length runs instead where that takes
   less time than the shorter samples take in batches of their own. On a GPU, a small batch takes as long as a larger
   one, so the lists are often served together. On a processor, time grows with the length, so they rarely are.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfperf.inference.executable import Bucket

ON_TIME = 0.95  # planned share of the bound; the rest is for LoadGen's own delays and slow executions
PATIENCE = 1000
_HARDLY_LONGER = 1.25

# Relative to one answer on time: a late sample that fills padding, and a sample that becomes late. In the simulation of
# the tests, 0 for either holds lower rates, and so does 1 for samples that become late.
_WEIGHT_OF_FILLING = 0.3
_WEIGHT_OF_LATE = 0.3


class Waiting(NamedTuple):
    """Samples of one length that wait.

    Attributes:
        on_time: the issue times of the samples that can still be answered within the bound, oldest first.
        late: the issue times of all others, oldest first.
    """

    on_time: Sequence[int]
    late: Sequence[int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedBatch:
    """The batch to run now.

    Attributes:
        size: the batch size.
        first: position of its first sample among those on time, oldest first.
        count: number of samples on time that it takes, from `first` on.
        late: number of late samples that it takes, oldest first.
        length_index: index of the samples' length.
        shorter: how many samples on time it takes of shorter lengths, oldest first, by the index of the length.
    """

    size: int
    first: int
    count: int
    late: int
    length_index: int = 0
    shorter: tuple[tuple[int, int], ...] = ()


class Policy:
    """The rule, for one model and one latency bound.

    Attributes:
        lengths: the lengths of the samples, ascending; (None,) if they have none. `length_index` is a position in it.
    """

    def __init__(self, execution_ns: Mapping[Bucket, float], *, bound_ns: float = math.inf) -> None:
        """Prepares the rule.

        Args:
            execution_ns: time of one execution by bucket.
            bound_ns: the latency bound; infinite if there is none.

        Raises:
            ValueError: a time or the bound is not above 0.
        """
        times = dict(execution_ns)
        if (
            not times
            or min(bucket.batch for bucket in times) < 1
            or not all(math.isfinite(time) and time > 0 for time in times.values())
        ):
            raise ValueError(f"execution_ns must hold a time above 0 for each bucket, got {times!r}.")
        if not bound_ns > 0:
            raise ValueError(f"bound_ns must be above 0, got {bound_ns!r}.")
        by_length = by_length_of(times)
        self.lengths = tuple(by_length)
        self._bound_ns, self._planned_ns = bound_ns, ON_TIME * bound_ns
        self._plans = [_Plan.of(sizes, bound_ns=bound_ns) for sizes in by_length.values()]

    def late(self, issued_ns: Sequence[int], *, now_ns: int, length_index: int = 0) -> int:
        """The number of samples, from the oldest on, that can no longer be on time."""
        quickest_ns = self._plans[length_index].sizes[0][1]
        return bisect.bisect_left(issued_ns, now_ns - self._planned_ns + quickest_ns)

    def choose(self, waiting: Sequence[Waiting], *, now_ns: int) -> PlannedBatch:
        """The batch to run now.

        Args:
            waiting: the samples that wait at each length.
            now_ns: the time, on the clock of the samples' stamps.

        Raises:
            ValueError: nothing waits.
        """
        length_index = 0 if len(waiting) == 1 else self._most_urgent(waiting, now_ns)
        on_time, late = waiting[length_index]
        plan = self._plans[length_index]
        if late and (not on_time or now_ns - late[0] > PATIENCE * self._bound_ns):
            size = plan.fitting(len(late) + len(on_time))
            taken = min(size, len(late))
            count = min(size - taken, len(on_time))
            return PlannedBatch(size=size, first=0, count=count, late=taken, length_index=length_index)
        if not on_time:
            raise ValueError("Nothing is waiting, so there is nothing to choose.")
        size, first = plan.most_on_time(on_time, len(late), now_ns - self._planned_ns)
        count = min(size, len(on_time) - first)
        shorter: tuple[tuple[int, int], ...] = ()
        if length_index and (count < size or size < plan.sizes[-1][0]):
            latest_ns = on_time[first] + self._planned_ns - now_ns
            size, shorter = self._with_shorter(waiting, length_index, size=size, count=count, latest_ns=latest_ns)
        room = size - count - sum(taken for _, taken in shorter)
        return PlannedBatch(
            size=size,
            first=first,
            count=count,
            late=min(room, len(late)),
            length_index=length_index,
            shorter=shorter,
        )

    def _with_shorter(
        self, waiting: Sequence[Waiting], length_index: int, *, size: int, count: int, latest_ns: float
    ) -> tuple[int, tuple[tuple[int, int], ...]]:
        """The size of a batch with shorter samples, and how many of each length: what saves the most time.

        Args:
            waiting: the samples that wait at each length.
            length_index: the length of the batch.
            size: the size without shorter samples; their padding costs nothing.
            count: samples of the batch's own length.
            latest_ns: the longest execution that keeps the oldest of these on time.
        """
        # Those that take longest in batches of their own length first.
        shorter = sorted(
            (
                (self._plans[index].each_ns(len(each.on_time)), index, len(each.on_time))
                for index, each in enumerate(waiting[:length_index])
                if each.on_time
            ),
            reverse=True,
        )
        larger = [entry for entry in self._plans[length_index].sizes if entry[0] >= size]
        best: tuple[float, int, tuple[tuple[int, int], ...]] = (-math.inf, size, ())
        for larger_size, time in larger if shorter else ():
            if larger_size > size and time > latest_ns:
                break
            room, saved_ns, chosen = larger_size - count, larger[0][1] - time, []
            for each_ns, index, samples in shorter:
                taken = min(samples, room)
                room, saved_ns = room - taken, saved_ns + taken * each_ns
                chosen.append((index, taken))
            if saved_ns > best[0]:
                best = saved_ns, larger_size, tuple((index, taken) for index, taken in chosen if taken)
            if room:
                break  # larger ones only hold more padding
        return best[1:]

    def _most_urgent(self, waiting: Sequence[Waiting], now_ns: int) -> int:
        """The length to run next: of a sample that waited far too long, else on time and with least to spare."""
        late = [(each.late[0], index) for index, each in enumerate(waiting) if each.late]
        oldest_ns, oldest = min(late, default=(now_ns, 0))
        if now_ns - oldest_ns > PATIENCE * self._bound_ns:
            return oldest
        on_time = [
            (each.on_time[0] - self._plans[index].sizes[0][1], index)
            for index, each in enumerate(waiting)
            if each.on_time
        ]
        return min(on_time)[1] if on_time else oldest


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """The useful batch sizes at one length with their times, ascending: for samples on time, and for late ones."""

    sizes: tuple[tuple[int, float], ...]
    late_sizes: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, times: Mapping[int, float], *, bound_ns: float) -> _Plan:
        planned_ns = ON_TIME * bound_ns
        late_ns = max(planned_ns / 2, _HARDLY_LONGER * min(times.values()))
        return cls(sizes=_useful(times, within_ns=planned_ns), late_sizes=_useful(times, within_ns=late_ns))

    def fitting(self, waiting: int) -> int:
        """The batch size with the most answers per second, late or not, that doesn't delay other samples for long."""
        return max(self.late_sizes, key=lambda entry: (min(waiting, entry[0]) / entry[1], -entry[0]))[0]

    def each_ns(self, waiting: int) -> float:
        """The time that each of so many samples takes if they run in batches of their own."""
        return min(math.ceil(waiting / size) * time for size, time in self.sizes) / waiting

    def most_on_time(self, issued_ns: Sequence[int], late: int, earliest: float) -> tuple[int, int]:
        """The batch size with the highest value per time, and its first sample that is on time.

        Args:
            issued_ns: the issue times of the samples on time, oldest first.
            late: the number of late samples that wait.
            earliest: a sample issued before this has used up the planned share of the bound.
        """
        best, chosen, waiting = -math.inf, (self.sizes[0][0], 0), len(issued_ns)
        for size, time in self.sizes:
            first = 0 if issued_ns[0] >= earliest + time else bisect.bisect_left(issued_ns, earliest + time)
            count = min(size, waiting - first)
            value = (count + _WEIGHT_OF_FILLING * min(size - count, late) - _WEIGHT_OF_LATE * first) / time
            if count and value > best:
                best, chosen = value, (size, first)
            if size >= waiting + late:
                break  # larger ones only hold more padding
        return chosen


def by_length_of(execution_ns: Mapping[Bucket, float]) -> dict[int | None, dict[int, float]]:
    """The times by length, ascending, and batch size."""
    found: dict[int | None, dict[int, float]] = {}
    for bucket in sorted(execution_ns, key=lambda bucket: (bucket.length or 0, bucket.batch)):
        found.setdefault(bucket.length, {})[bucket.batch] = execution_ns[bucket]
    return found


def most_efficient(execution_ns: Mapping[Bucket, float]) -> dict[int | None, Bucket]:
    """The bucket with the most samples per second at each length, lengths ascending."""
    return {
        length: Bucket(max(times, key=lambda size: size / times[size]), length)
        for length, times in by_length_of(execution_ns).items()
    }


def _useful(times: Mapping[int, float], *, within_ns: float) -> tuple[tuple[int, float], ...]:
    """Batch sizes within the limit and quicker than all larger ones, ascending; at least the quickest of all."""
    plan: list[tuple[int, float]] = []
    for size, time in sorted(times.items(), reverse=True):
        if not plan or time < plan[0][1]:
            plan.insert(0, (size, time))
    return tuple(entry for entry in plan if entry[1] <= within_ns) or (plan[0],)
