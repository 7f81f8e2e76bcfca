"""Says how many systems a rate needs under a bound for P99, from what one was measured to carry.

usage: tfperf plan --rate=5000 --p99_ms=15 [--spare=1] RUN...

RUN is a run directory of tfperf evaluate with several loads, or of tfperf infer in Server. From Offline, which has no
bound, comes the fewest that can do. Requests must spread evenly over the systems. Nothing is extrapolated.
"""

from __future__ import annotations

import json
import pathlib

from absl import flags

from tfperf.cli import shared_flags
from tfperf.cli.printable import printable
from tfperf.errors import UsageError


def define_flags() -> None:
    """The flags of `tfperf plan`."""
    flags.DEFINE_float("rate", None, "Requests per second of all users together.")
    flags.DEFINE_float("p99_ms", None, "The bound for the 99th latency percentile, in milliseconds.")
    flags.DEFINE_integer("spare", 1, "How many systems may fail at the same time.", lower_bound=0)
    shared_flags.define_format()


def main(arguments: list[str]) -> int:
    """Prints the plan."""
    from tfperf.planning import plan

    values = flags.FLAGS
    missing = [f"--{name}" for name in ("rate", "p99_ms") if getattr(values, name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} is missing. Write tfperf plan --rate=5000 --p99_ms=15 RUN.")
    paths = [pathlib.Path(path).expanduser() for path in arguments]
    asked = {"rate": values.rate, "p99_ms": values.p99_ms}
    plans = plan.make(paths, **asked, spare=values.spare)
    if values.format == "json":
        print(json.dumps(plan.as_dict(plans, **asked, spare=values.spare), indent=2))
    else:
        print(printable(plan.text(plans, **asked, spare=values.spare)))
    return 0
