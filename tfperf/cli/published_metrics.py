"""Flags with which a run leaves its metrics for Prometheus, and what they do when it has ended."""

from __future__ import annotations

import pathlib
import sys

from absl import flags

from tfperf.cli.printable import printable
from tfperf.errors import TfperfError, UsageError

_FAILED = 1


def define() -> None:
    """`--metrics_dir` and `--pushgateway`."""
    flags.DEFINE_string(
        "metrics_dir",
        None,
        "Leave metrics here for the node exporter's --collector.textfile.directory, one file a series.",
    )
    flags.DEFINE_string("pushgateway", None, "Push metrics to this Pushgateway, host:port, when the run has ended.")


def check() -> None:
    """Refuses a folder that is not there, before anything runs.

    Raises:
        UsageError: there is none.
    """
    folder = flags.FLAGS.metrics_dir
    if folder and not pathlib.Path(folder).expanduser().is_dir():
        raise UsageError(
            f"--metrics_dir {folder} is not a folder. Pass that of the node exporter's --collector.textfile.directory."
        )


def words() -> list[str]:
    """The flags as given, for a command that runs on behalf of this one."""
    values = flags.FLAGS
    given = {"metrics_dir": values.metrics_dir, "pushgateway": values.pushgateway}
    return [f"--{name}={value}" for name, value in given.items() if value]


def publish(run_dir: pathlib.Path, *, verb: str, code: int) -> int:
    """Leaves the metrics of a run's series where the flags say.

    Args:
        run_dir: the run, in the output directory.
        verb: the command, for messages.
        code: its exit code.

    Returns:
        The exit code: 1 in place of 0 if the metrics were not left, for whoever asked for them waits for them.
    """
    values = flags.FLAGS
    if not words():
        return code
    from tfperf.history import exported
    from tfperf.reporting.prometheus import exposition

    def say(text: str) -> None:
        print(printable(f"tfperf {verb}: {text}"), file=sys.stderr)

    try:
        name, readings = exported.HistoryMetrics(run_dir.parent, say=say).of_run(run_dir)
        if values.metrics_dir:
            exposition.write(pathlib.Path(values.metrics_dir).expanduser(), readings, name=name)
        if values.pushgateway:
            exposition.push(values.pushgateway, readings, name=name)
    except TfperfError as error:
        say(str(error))
        return code or _FAILED
    return code
