"""Lists the runs below a directory, over months: their level, its changes, and what the next run should be.

usage: tfperf history [PATH] [--last=10] [--only=benchmark=resnet50_mini] [--format=json]

PATH is a directory that holds run directories, `runs` by default, in any folder below it. LoadGen's own logs,
submissions and MLLOG files are listed, too. Runs of the same benchmark, division, scenario, system and config make a
series. Runs that are INVALID, internal, incomplete or edited are shown, and are no part of a baseline unless --allow
names the flaw.

What was read is kept in PATH/.tfperf-history.sqlite, or in the user's cache if PATH is read-only. It can be removed at
any time.
"""

from __future__ import annotations

import json
import pathlib
import sys

from absl import flags

from tfperf.cli import shared_flags
from tfperf.cli.printable import printable
from tfperf.errors import UsageError

_LAST = 10
_SIGN_FROM = 200


def define_flags() -> None:
    """The flags of `tfperf history`."""
    shared_flags.define_format()
    flags.DEFINE_integer(
        "last",
        None,
        "The newest runs of each series; 0 for all. By default 10 as text, and all as JSON.",
        lower_bound=0,
    )
    flags.DEFINE_multi_string(
        "only", [], "key=value, lists only such runs: benchmark, division, scenario, system, config or commit."
    )
    flags.DEFINE_list(
        "allow", [], "Count runs in spite of a flaw: invalid, internal, incomplete, edited, missed or clock."
    )
    flags.DEFINE_bool("rebuild", False, "Forget what was read before, and read every file again.")


def main(arguments: list[str]) -> int:
    """Prints the history."""
    from tfperf.history import history, views

    values = flags.FLAGS
    if len(arguments) > 1:
        raise UsageError(f"history takes one directory, got {' '.join(arguments)}. Write tfperf history runs.")
    store = pathlib.Path(arguments[0] if arguments else "runs").expanduser()
    found = history.read(store, allow=values.allow, rebuild=values.rebuild, on_progress=_progress)
    if not (found.series or found.running or found.others):
        raise UsageError(
            f"{store} holds no runs. Pass the --output_dir of tfperf train and infer, or a folder with LoadGen's logs "
            "or MLLOG files."
        )
    if values.only:
        found = views.only(found, wanted(values.only))
    if values.format == "json":
        print(json.dumps(views.as_dict(found, last=values.last or 0), indent=2))
        return 0
    drawn = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(printable(views.text(found, last=_LAST if values.last is None else values.last, drawn=drawn)))
    return 0


def wanted(given: list[str]) -> dict[str, str]:
    """The values of `--only`.

    Raises:
        UsageError: one is not of the form key=value.
    """
    found = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not value:
            raise UsageError(f"--only={each} must be key=value, such as benchmark=resnet50_mini.")
        found[key] = value
    return found


def _progress(done: int, total: int) -> None:
    if total >= _SIGN_FROM:
        print(f"tfperf history: read {done:,} of {total:,} new runs", file=sys.stderr, flush=True)
