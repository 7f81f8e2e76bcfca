"""Flags that several verbs share."""

from __future__ import annotations

import pathlib

from absl import flags

from tfperf import spec


def define_format() -> None:
    """`--format`: for people or for programs."""
    flags.DEFINE_enum("format", "text", ["text", "json"], "Text for people, or one JSON value on stdout.")


def define_data_dir() -> None:
    """`--data_dir`: where the data is."""
    flags.DEFINE_string(
        "data_dir", None, "Where the data is. The embedded data needs none: it goes to a per-user cache."
    )


def define_output_dir() -> None:
    """`--output_dir`: where run directories go."""
    flags.DEFINE_string("output_dir", "runs", "Where run directories are made, each under a new name.")


def data_dir() -> pathlib.Path | None:
    """The value of `--data_dir`."""
    return pathlib.Path(flags.FLAGS.data_dir).expanduser() if flags.FLAGS.data_dir else None


def needs(source: spec.Source) -> str:
    """The data that a run reads, and whether its directory is there."""
    described = (type(source).__doc__ or "").splitlines()[0]
    place = data_dir()
    if isinstance(source, spec.Shapes):
        return described
    if place is None:
        return f"{described} Where they are is missing: --data_dir."
    return f"{described} In {place}, which is {'there' if place.is_dir() else 'not there'}."
