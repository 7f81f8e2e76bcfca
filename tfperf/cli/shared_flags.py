"""Flags that several verbs share."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from tfperf import config
from tfperf import spec as specs
from tfperf.errors import MissingDataError, UsageError
from tfperf.system import devices
from tfperf.workspace import Workspace

if TYPE_CHECKING:
    from tfperf.benchmarks.benchmark import Benchmark, TrainingTask
    from tfperf.inference.weights import Weights


def define_run(*, device: str = "auto, cpu, cpu:N (N logical devices), gpu, gpu:N or tpu.") -> None:
    """The flags of every verb that runs a config: which config, where and on what.

    Args:
        device: the values that `--device` accepts, for its help.
    """
    flags.DEFINE_string("config", None, "A packaged config (see tfperf list) or the path of a yaml file.")
    flags.DEFINE_multi_string("set", [], "key.path=value, replaces a value of the config")
    flags.DEFINE_string("device", "auto", device)
    flags.DEFINE_bool(
        "dry_run", False, "Print what would run, what it needs and whether it is closed-eligible, and run nothing."
    )
    define_format()
    define_data_dir()
    define_output_dir()


def define_format() -> None:
    """`--format`: for people or for programs."""
    flags.DEFINE_enum("format", "text", ["text", "json"], "Text for people, or one JSON value on stdout for programs.")


def define_data_dir() -> None:
    """`--data_dir`: where the data is."""
    flags.DEFINE_string(
        "data_dir", None, "Where the data is. The embedded data needs no directory: it goes to a per-user cache."
    )


def define_output_dir() -> None:
    """`--output_dir`: where run directories go."""
    flags.DEFINE_string("output_dir", "runs", "Where run directories are created, each with a new name.")


def define_weights() -> None:
    """`--weights` and `--trust_model`: the model to serve."""
    flags.DEFINE_string(
        "weights",
        None,
        "The trained model: a training run directory, a folder of them (uses the newest of this benchmark), a "
        ".keras file, a SavedModel, a file of weights, or a checkpoint that the benchmark takes.",
    )
    flags.DEFINE_bool(
        "trust_model",
        False,
        "Load a model even if it contains its own code, such as Lambda layers, or operations that read or write files.",
    )


def weights() -> Weights:
    """The model to serve.

    Raises:
        UsageError: --weights is missing.
    """
    from tfperf.inference.weights import Weights

    values = flags.FLAGS
    if not values.weights:
        raise UsageError(
            "--weights is missing. Pass a training run directory (tfperf train makes one), a folder of them, a .keras "
            "file, a SavedModel, or a file of weights."
        )
    return Weights(path=pathlib.Path(values.weights).expanduser(), trusted=values.trust_model)


def check_weights(trained: Weights, benchmark: Benchmark) -> None:
    """Refuses a model that is not there, before TensorFlow is imported.

    Raises:
        UsageError: it doesn't exist, or holds no model.
    """
    from tfperf.inference import weights
    from tfperf.serving.prepared import newest_weights

    task, newest = benchmark.inference, newest_weights(trained, benchmark=benchmark)
    if task is None:
        weights.resolve(newest, digested=False)
    else:
        weights.resolve(newest, foreign=task.foreign_weights, checkpoints=task.checkpoints, digested=False)


def needed_weights(benchmark: Benchmark) -> str:
    """The model that a measurement serves, and whether it is there."""
    if not flags.FLAGS.weights:
        return "The model to serve is missing: pass --weights."
    given = weights()
    try:
        check_weights(given, benchmark)
    except UsageError as error:
        return f"The model to serve is missing: {error}"
    return f"The model in {given.path}."


def check_run(verb: str, arguments: Sequence[str]) -> None:
    """Refuses arguments that are not flags, and a missing `--config`.

    Raises:
        UsageError: names what the verb accepts.
    """
    if arguments:
        got = " ".join(arguments)
        raise UsageError(f"{verb} takes no arguments, got {got}. Set values with --set key.path=value.")
    if not flags.FLAGS.config:
        accepted = ", ".join(name for name in config.names() if config.verb(name) == verb)
        raise UsageError(f"--config is missing. Accepted: {accepted}, or the path of a yaml file.")


def workspace(*, name: str | None = None) -> Workspace:
    """Where the run goes and on what.

    Args:
        name: the name of the run; by default the config's.

    Raises:
        UsageError: there is no such device.
    """
    values = flags.FLAGS
    return Workspace(
        output_dir=pathlib.Path(values.output_dir).expanduser(),
        name=name or pathlib.Path(values.config).stem,
        data_dir=data_dir(),
        device=devices.parse(values.device),
    )


def closed_verdict(broken: Sequence[str], *, if_also: str) -> str:
    """What `--dry_run` says about the closed division.

    Args:
        broken: the rules that the config breaks.
        if_also: the other conditions.
    """
    verdict = "no" if broken else f"yes, if {if_also}"
    return "\n".join([f"closed-eligible: {verdict}", *(f"  - {violation}" for violation in broken)])


def data_dir() -> pathlib.Path | None:
    """The value of `--data_dir`."""
    return pathlib.Path(flags.FLAGS.data_dir).expanduser() if flags.FLAGS.data_dir else None


def check_data_dir(source: object) -> None:
    """Refuses a directory that is not there, before TensorFlow is imported.

    Raises:
        MissingDataError: the source reads a directory, and it is missing or was not given.
    """
    folder = data_dir()
    if getattr(source, "EMBEDDED", False):
        return
    if folder is None and getattr(source, "NEEDS_DATA_DIR", False):
        raise MissingDataError("This config reads its examples from a folder, and none was given. Pass --data_dir.")
    if folder is not None and not folder.is_dir():
        raise MissingDataError(f"--data_dir {folder} is not a folder. Pass the folder that holds the examples.")


def check_initial_weights(spec: specs.TrainSpec, task: TrainingTask) -> None:
    """Refuses weights to start from that are not there, before TensorFlow is imported.

    Call this when the data directory was found, in which the weights are looked for.

    Raises:
        MissingDataError: the config names weights that are not there.
        UsageError: what it names isn't a checkpoint.
    """
    if task.find_weights is not None:
        task.find_weights(task.options if spec.model is None else spec.model, data_dir())


def data_dir_found(source: object) -> bool:
    """Whether the data directory is there, or the source needs none."""
    try:
        check_data_dir(source)
    except MissingDataError:
        return False
    return True


def needs(source: object) -> str:
    """The data that a run reads, and whether its directory exists."""
    described = (type(source).__doc__ or "").splitlines()[0]
    folder = data_dir()
    if getattr(source, "EMBEDDED", False):
        return described
    if folder is None:
        return f"{described} Their directory is missing: pass --data_dir."
    return f"{described} In {folder}, which {'exists' if folder.is_dir() else 'does not exist'}."
