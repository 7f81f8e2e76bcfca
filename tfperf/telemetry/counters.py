"""Energy from recorded counters and powers: unwrapped, interpolated and integrated over a window."""

from __future__ import annotations

import numpy as np

from tfperf import telemetry_log

# No package takes more: a longer gap between two readings may hide that the counter went round more than once.
_MOST_WATTS = 2000.0


class NoEnergyError(ValueError):
    """The recorded numbers do not tell the energy of the window. The message says why."""


def of_counter(at_ns: np.ndarray, counter: np.ndarray, *, span: float | None, begin_ns: int, end_ns: int) -> float:
    """What a counter counted between two moments, in its own unit.

    Between two readings the counter is taken to rise evenly.

    Args:
        at_ns: when it was read, ascending.
        counter: the readings; NaN where it could not be read.
        span: after how much it begins again at 0; None if it never does.
        begin_ns: the first moment.
        end_ns: the last.

    Raises:
        NoEnergyError: the readings do not cover the window, or the counter was set back in it.
    """
    known = np.isfinite(counter)
    at_ns, counter = at_ns[known], counter[known]
    _require_cover(at_ns, begin_ns, end_ns)
    first = int(np.searchsorted(at_ns, begin_ns, side="right")) - 1
    last = int(np.searchsorted(at_ns, end_ns, side="left"))
    at_ns, counter = at_ns[first : last + 1], counter[first : last + 1]
    if span is None and (np.diff(counter) < 0).any():
        raise NoEnergyError("its counter went backwards, so it was reset during the window")
    total = telemetry_log.unwrapped(counter, span=span)
    begin, end = np.interp([begin_ns - at_ns[0], end_ns - at_ns[0]], at_ns - at_ns[0], total)
    return float(end - begin)


def require_dense(at_ns: np.ndarray, *, span_joules: float | None, begin_ns: int, end_ns: int) -> None:
    """Refuses a window with a gap in which the counter may have gone round more than once.

    Raises:
        NoEnergyError: names the gap.
    """
    gap_s = longest_gap_s(at_ns, begin_ns=begin_ns, end_ns=end_ns)
    if span_joules is not None and gap_s * _MOST_WATTS > span_joules:
        raise NoEnergyError(
            f"no reading was made for {gap_s:.3g} s, in which its counter may have gone round more than once "
            f"(every {span_joules:,.0f} J)"
        )


def of_power(at_ns: np.ndarray, watts: np.ndarray, *, begin_ns: int, end_ns: int, most_gap_s: float) -> float:
    """Joules from readings of a power, by trapezoids.

    Args:
        at_ns: when it was read, ascending.
        watts: the readings; NaN where it could not be read.
        begin_ns: the first moment.
        end_ns: the last.
        most_gap_s: the longest time between two readings that may be bridged.

    Raises:
        NoEnergyError: the readings do not cover the window, or have a longer gap in it.
    """
    known = np.isfinite(watts)
    at_ns, watts = at_ns[known], watts[known]
    _require_cover(at_ns, begin_ns, end_ns)
    gap_s = longest_gap_s(at_ns, begin_ns=begin_ns, end_ns=end_ns)
    if gap_s > most_gap_s:
        raise NoEnergyError(f"its power was not read for {gap_s:.3g} s; gaps of at most {most_gap_s:.3g} s are bridged")
    inside = (at_ns > begin_ns) & (at_ns < end_ns)
    seconds = (np.concatenate([[begin_ns], at_ns[inside], [end_ns]]) - begin_ns) / 1e9
    power = np.interp(seconds, (at_ns - begin_ns) / 1e9, watts)
    return float(np.sum((power[1:] + power[:-1]) / 2 * np.diff(seconds)))


def longest_gap_s(at_ns: np.ndarray, *, begin_ns: int, end_ns: int) -> float:
    """The longest time between two readings in a window, the last one before it and the first one after it included."""
    first = max(0, int(np.searchsorted(at_ns, begin_ns, side="right")) - 1)
    last = int(np.searchsorted(at_ns, end_ns, side="left"))
    return float(np.diff(at_ns[first : last + 1]).max(initial=0)) / 1e9


def _require_cover(at_ns: np.ndarray, begin_ns: int, end_ns: int) -> None:
    if not len(at_ns):
        raise NoEnergyError("it was never read")
    if at_ns[0] > begin_ns:
        raise NoEnergyError(f"its first reading came {(at_ns[0] - begin_ns) / 1e9:.3g} s after the window began")
    if at_ns[-1] < end_ns:
        raise NoEnergyError(f"its last reading came {(end_ns - at_ns[-1]) / 1e9:.3g} s before the window ended")
