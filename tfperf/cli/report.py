"""Puts runs on one page: verdicts first, figures with intervals, plots, environment and differences.

usage: tfperf report RUN... [--html=report.html] [--format=markdown] [--group_by=system]

Each RUN is a run directory, or a folder of run directories. The page is one file that needs no network.
"""

from __future__ import annotations

import datetime
import json
import pathlib

from absl import flags

from tfperf.cli.printable import printable
from tfperf.errors import UsageError


def define_flags() -> None:
    """The flags of `tfperf report`."""
    flags.DEFINE_string("html", None, "Write the report as this HTML file, and print where it is.")
    flags.DEFINE_enum("format", "text", ["text", "markdown", "json"], "Text for people, markdown, or one JSON value.")
    flags.DEFINE_enum("group_by", None, ["system"], "Add a leaderboard of each benchmark and scenario.")
    flags.DEFINE_bool("overwrite", False, "Replace the file of --html.")


def main(arguments: list[str]) -> int:
    """Prints or writes the report."""
    from tfperf.summary import plain, reported, views

    values = flags.FLAGS
    if not arguments:
        raise UsageError("report needs run directories, or a folder of them. Write tfperf report runs.")
    target = _target(values.html)
    runs = reported.collect([pathlib.Path(path).expanduser() for path in arguments])
    ranked = values.group_by is not None
    if target is not None:
        _write(target, views.page(runs, ranked=ranked, made=_made()))
        print(printable(f"The report is in {target}."))
    elif values.format == "json":
        print(json.dumps(plain.as_dict(runs, ranked=ranked), indent=2))
    else:
        shown = views.markdown if values.format == "markdown" else views.text
        print(printable(shown(runs, ranked=ranked)))
    return 0


def _target(html: str | None) -> pathlib.Path | None:
    """Where the page goes.

    Raises:
        UsageError: something is there already, or its folder is not.
    """
    if html is None:
        return None
    target = pathlib.Path(html).expanduser()
    if target.is_dir() or not target.parent.is_dir():
        raise UsageError(f"--html={html} must be a file in a folder that exists. Write --html=report.html.")
    if target.exists() and not flags.FLAGS.overwrite:
        raise UsageError(f"--html={html} exists already. Choose another name, or pass --overwrite.")
    return target


def _write(target: pathlib.Path, page: str) -> None:
    from tfperf import whole_file

    try:
        whole_file.write(target, page)
    except OSError as error:
        raise UsageError(f"--html={target} can't be written: {error}.") from error


def _made() -> str:
    from tfperf.system import environment

    now = datetime.datetime.now(datetime.timezone.utc)
    return f"Made by tfperf {environment.code_version()} on {now:%Y-%m-%d %H:%M} UTC."
