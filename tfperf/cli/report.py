"""Puts runs on one page: verdicts first, figures with intervals, plots, environment and differences.

usage: tfperf report RUN... [--html=report.html] [--format=markdown] [--group_by=system]

Each RUN is a run directory, or a folder of run directories. The page is one file that needs no network.
"""

from __future__ import annotations

import json
import pathlib

from absl import flags

from tfperf.cli import page_file
from tfperf.cli.printable import printable
from tfperf.errors import UsageError


def define_flags() -> None:
    """The flags of `tfperf report`."""
    page_file.define()
    flags.DEFINE_enum("format", "text", ["text", "markdown", "json"], "Text for people, markdown, or one JSON value.")
    flags.DEFINE_enum("group_by", None, ["system"], "Add a leaderboard of each benchmark and scenario.")


def main(arguments: list[str]) -> int:
    """Prints or writes the report."""
    from tfperf.summary import plain, reported, views

    values = flags.FLAGS
    if not arguments:
        raise UsageError("report needs run directories, or a folder of them. Write tfperf report runs.")
    target = page_file.target(values.html, overwrite=values.overwrite)
    runs = reported.collect([pathlib.Path(path).expanduser() for path in arguments])
    ranked = values.group_by is not None
    if target is not None:
        page_file.write(target, views.page(runs, ranked=ranked, made=page_file.made()))
        print(printable(f"The report is in {target}."))
    elif values.format == "json":
        print(json.dumps(plain.as_dict(runs, ranked=ranked), indent=2))
    else:
        shown = views.markdown if values.format == "markdown" else views.text
        print(printable(shown(runs, ranked=ranked)))
    return 0
