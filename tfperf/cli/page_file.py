"""`--html`: a page as a file."""

from __future__ import annotations

import datetime
import pathlib

from absl import flags

from tfperf.errors import UsageError


def define() -> None:
    """The flags `--html` and `--overwrite`."""
    flags.DEFINE_string("html", None, "Write this HTML file, which needs no network, and print where it is.")
    flags.DEFINE_bool("overwrite", False, "Replace the file of --html.")


def target(html: str | None, *, overwrite: bool) -> pathlib.Path | None:
    """Where the page goes.

    Raises:
        UsageError: something is there already, or its folder is not.
    """
    if html is None:
        return None
    path = pathlib.Path(html).expanduser()
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--html={html} must be a file in a folder that exists. Write --html=report.html.")
    if path.exists() and not overwrite:
        raise UsageError(f"--html={html} exists already. Choose another name, or pass --overwrite.")
    return path


def write(path: pathlib.Path, page: str) -> None:
    """Writes the page whole or not at all.

    Raises:
        UsageError: it can't be written.
    """
    from tfperf import whole_file

    try:
        whole_file.write(path, page)
    except OSError as error:
        raise UsageError(f"--html={path} can't be written: {error}.") from error


def made() -> str:
    """By what and when a page was made."""
    from tfperf.system import environment

    now = datetime.datetime.now(datetime.timezone.utc)
    return f"Made by tfperf {environment.code_version()} on {now:%Y-%m-%d %H:%M} UTC."
