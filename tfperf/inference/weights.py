"""Where a model comes from: a training run, a file, a SavedModel; and whether it is what the benchmark asks for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.errors import UsageError

if TYPE_CHECKING:
    import keras

Kind = Literal["keras", "weights", "keras_applications", "saved_model", "random"]

MODEL_FILE = "model.keras"
_RUN_FILES = ("manifest.json", "result.json", "spec.yaml")
_ACCEPTED = (
    "Accepted are the directory of a training run, a .keras file, an .h5 file with weights of the benchmark's model or "
    "of keras.applications' ResNet50, and a SavedModel directory."
)
_V1_NOTE = (
    "keras.applications' ResNet50 is v1, with the stride in the 1x1 convolutions: another model than the closed "
    "division's v1.5, so for open and internal runs only"
)
_CHUNK_BYTES = 1 << 20
# What Keras' messages end in, for lines and lines: the values of a variable, the config of an object.
_NOISE = re.compile(r"(, (dtype=\w+, )?value=\[| Full object config: ).*", re.DOTALL)
_SHOWN_CHARACTERS = 400


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """What to serve, as the user names it.

    Args:
        path: the directory of a training run, a `.keras` file, an `.h5` file of weights or a SavedModel directory.
        trusted: whether code that a `.keras` file holds may run: lambdas and objects that are not Keras' own.
    """

    path: pathlib.Path
    trusted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A model that was found and not yet read.

    Attributes:
        kind: what it is.
        path: the file or directory; None for random weights.
        digest: SHA-256, of the file or of a SavedModel's names and files; says the seed for random weights.
        trusted: as in `Weights`.
        note: what a reader of the result must know; may be empty.
        seed: of random weights.
    """

    kind: Kind
    path: pathlib.Path | None
    digest: str
    trusted: bool = False
    note: str = ""
    seed: int = 0


def resolve(weights: Weights) -> Source:
    """Finds out what the user named, without TensorFlow; reads it once, for the digest.

    Raises:
        UsageError: it is not there, or nothing that holds a model.
    """
    path = weights.path
    if not path.exists():
        raise UsageError(f"There is no model {path}. {_ACCEPTED}")
    if path.is_dir():
        return _resolved_directory(path, trusted=weights.trusted)
    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise UsageError(f"{path} is no .keras file, which is a zip archive, or it was cut off. Save it again.")
        return Source(kind="keras", path=path, digest=_digest(path), trusted=weights.trusted)
    if path.suffix == ".h5":
        return _resolved_h5(path, trusted=weights.trusted)
    raise UsageError(f"{path} is no model that can be read. {_ACCEPTED}")


def random_weights(*, seed: int = 0) -> Source:
    """The benchmark's model as it is before training: for measurements that no accuracy depends on."""
    return Source(
        kind="random", path=None, digest=f"seed {seed}", note="random weights: the model knows nothing", seed=seed
    )


def load(source: Source, task: InferenceTask, options: Any) -> keras.Model:
    """The model, uncompiled, in float32, in the process that is to use it.

    A SavedModel's serving signature and keras.applications' ResNet50 come as a model that takes the benchmark's
    samples. A keras.applications ResNet50 in a `.keras` file is taken as it is: its input is the user's matter.

    Raises:
        UsageError: it can't be read, holds code that was not trusted, or weights of another model.
    """
    import keras

    match source.kind:
        case "random":
            keras.utils.set_random_seed(source.seed)
            return task.build_model(options)
        case "keras":
            return _load_keras(_path(source), trusted=source.trusted)
        case "weights":
            return _with_weights(task.build_model(options), _path(source))
        case "keras_applications":
            return _load_resnet50_v1(_path(source), task, options)
        case "saved_model":
            return _load_saved_model(_path(source), task, options)


def check(model: keras.Model, task: InferenceTask, options: Any) -> None:
    """Runs the model on two samples of zeros and compares what it takes and gives with what the benchmark asks for.

    Raises:
        UsageError: it takes or gives something else, or numbers that are not finite.
    """
    taken, given = task.input_shape(options), task.output_shape(options)
    _check_inputs(model, taken)
    try:
        outputs = model(np.zeros((2, *taken), np.float32), training=False)
    except Exception as error:  # any at all: the model is the user's
        raise UsageError(
            f"The model can't be called on float32 {_shown(taken)}: {type(error).__name__}: {_in_short(error)}"
        ) from error
    if not hasattr(outputs, "shape"):
        raise UsageError(
            f"The model gives a {type(outputs).__name__}; the benchmark asks for one tensor {_shown(given)}."
        )
    shape = tuple(outputs.shape)
    if shape != (2, *given):
        hint = " One class more is often a background class: cut it off." if shape == (2, given[-1] + 1) else ""
        raise UsageError(f"The model gives {_shown(shape[1:])}, the benchmark asks for {_shown(given)}.{hint}")
    values = np.asarray(outputs)
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise UsageError(f"The model gives {values.dtype}, the benchmark asks for floating-point numbers.")
    if not np.isfinite(values.astype(np.float32)).all():
        raise UsageError("The model gives numbers that are not finite for samples of zeros. Take other weights.")


def _resolved_directory(path: pathlib.Path, *, trusted: bool) -> Source:
    if (path / "saved_model.pb").is_file():
        return Source(kind="saved_model", path=path, digest=_directory_digest(path), trusted=trusted)
    if (path / MODEL_FILE).is_file():
        return resolve(Weights(path=path / MODEL_FILE, trusted=trusted))
    if any((path / name).is_file() for name in _RUN_FILES):
        raise UsageError(
            f"The run directory {path} holds no {MODEL_FILE}: the run was killed, failed, or trained nothing. "
            "Take a run that came to its end."
        )
    raise UsageError(f"{path} is a directory without a model. {_ACCEPTED}")


def _resolved_h5(path: pathlib.Path, *, trusted: bool) -> Source:
    import h5py

    try:
        with h5py.File(path) as file:
            names = _layer_names(file)
    except OSError as error:
        raise UsageError(f"{path} is no HDF5 file, or it was cut off: {error}. Save it again.") from error
    digest = _digest(path)
    if _is_resnet50_v1(names):
        return Source(kind="keras_applications", path=path, digest=digest, trusted=trusted, note=_V1_NOTE)
    return Source(kind="weights", path=path, digest=digest, trusted=trusted)


def _layer_names(file: Any) -> set[str]:
    """Of a file in the old format, with weights alone or with a whole model; empty for the one of Keras 3."""
    found = file.get("model_weights", file)
    names = found.attrs.get("layer_names", ())
    return {name.decode() if isinstance(name, bytes) else str(name) for name in names}


def _is_resnet50_v1(names: set[str]) -> bool:
    """By the layers of `keras.applications.ResNet50`: the deeper ones have conv4_block7, V2 a first activation."""
    return (
        {"conv1_conv", "conv4_block6_1_conv", "conv5_block3_3_conv"} <= names
        and "conv4_block7_1_conv" not in names
        and "conv2_block1_preact_bn" not in names
    )


def _load_keras(path: pathlib.Path, *, trusted: bool) -> keras.Model:
    import keras

    found = () if trusted else tuple(sorted(set(_foreign(_config(path)))))
    if found:
        raise UsageError(
            f"{path} holds code that is not Keras' own: {', '.join(found)}. Loading it may run anything. "
            "If you trust where it comes from, pass --trust_model."
        )
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=not trusted)
    except (ImportError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} can't be loaded: {type(error).__name__}: {_in_short(error)}") from error
    return _in_float32(model, path)


def _config(path: pathlib.Path) -> Any:
    """The part of the file that is built when it is loaded uncompiled."""
    try:
        with zipfile.ZipFile(path) as archive:
            whole = json.loads(archive.read("config.json"))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} holds no Keras model: {error}. Save it with model.save.") from error
    return {name: value for name, value in whole.items() if name != "compile_config"}


def _foreign(config: Any) -> Iterator[str]:
    """The lambdas and the classes and functions in a config that are not Keras' own."""
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if name == "__lambda__":
            yield "a lambda"
        elif name == "function":
            yield f"the function {config.get('config')}"
        elif isinstance(name, str) and "registered_name" in config and not _is_keras(module):
            yield f"the class {config['registered_name'] or name}"
        for value in config.values():
            yield from _foreign(value)
    elif isinstance(config, list):
        for value in config:
            yield from _foreign(value)


def _is_keras(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "keras"


def _in_float32(model: keras.Model, path: pathlib.Path) -> keras.Model:
    """The model, or one like it whose layers compute in float32: other precisions are the compiled forms' matter."""
    import keras

    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    try:
        plain = keras.models.clone_model(
            model, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
        )
    except ValueError as error:
        raise UsageError(
            f"{path} computes in {model.compute_dtype} and can't be changed: {_in_short(error)} Save it in float32."
        ) from error
    plain.set_weights(model.get_weights())
    return plain


def _with_weights(model: keras.Model, path: pathlib.Path) -> keras.Model:
    refusal = f"The weights in {path} are not those of the benchmark's model {model.name!r}"
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            model.load_weights(path)
    except (KeyError, OSError, ValueError) as error:
        raise UsageError(f"{refusal}: {_in_short(error)}") from error
    # Keras goes on with layers as they were initialised where the file has nothing for them, and warns.
    doubts = [warning.message for warning in told if issubclass(warning.category, UserWarning)]
    if doubts:
        raise UsageError(f"{refusal}: {doubts[0]}")
    return model


def _load_resnet50_v1(path: pathlib.Path, task: InferenceTask, options: Any) -> keras.Model:
    """keras.applications' ResNet50 on red, green and blue less their means: its own input is blue, green and red."""
    import keras

    model = keras.applications.ResNet50(
        weights=None,
        input_shape=task.input_shape(options),
        classes=task.output_shape(options)[-1],
    )
    _with_weights(model, path)
    # Turned over in the first kernel, the channels cost nothing. The means differ by a thousandth of a grey level.
    first = model.get_layer("conv1_conv")
    first.kernel.assign(np.flip(first.kernel.numpy(), axis=2))
    return model


def _load_saved_model(path: pathlib.Path, task: InferenceTask, options: Any) -> keras.Model:
    import keras

    samples = keras.Input(task.input_shape(options), dtype="float32", name="sample")
    try:
        outputs = keras.layers.TFSMLayer(str(path), call_endpoint="serving_default")(samples)
    except (OSError, TypeError, ValueError) as error:
        asked = f"float32 {_shown(task.input_shape(options))}"
        raise UsageError(
            f"The signature serving_default of {path} can't be called on {asked}: {_in_short(error)}"
        ) from error
    return keras.Model(samples, _one_of(outputs, path, shape=task.output_shape(options)), name="saved_model")


def _one_of(outputs: Any, path: pathlib.Path, *, shape: tuple[int, ...]) -> Any:
    """The only output of a signature, or the only one of the shape that is asked for."""
    named = outputs if isinstance(outputs, dict) else {"output": outputs}
    fitting = [output for output in named.values() if len(named) == 1 or tuple(output.shape[1:]) == shape]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(f"{name} {_shown(tuple(output.shape[1:]))}" for name, output in sorted(named.items()))
    raise UsageError(
        f"The signature serving_default of {path} gives {found}; the benchmark asks for one of {_shown(shape)}."
    )


def _check_inputs(model: keras.Model, taken: tuple[int, ...]) -> None:
    inputs = getattr(model, "inputs", None)
    if inputs is None:  # a model by inheritance does not say; calling it tells
        return
    if len(inputs) != 1:
        raise UsageError(f"The model takes {len(inputs)} inputs, the benchmark gives one, {_shown(taken)}.")
    shape, dtype = tuple(inputs[0].shape[1:]), inputs[0].dtype
    fits = len(shape) == len(taken) and all(a in (None, b) for a, b in zip(shape, taken, strict=True))
    if not fits or dtype != "float32":
        raise UsageError(f"The model takes {dtype} {_shown(shape)}, the benchmark gives float32 {_shown(taken)}.")


def _shown(shape: tuple[Any, ...]) -> str:
    """A shape with its batch dimension."""
    return f"[n{''.join(f', {size}' for size in shape)}]"


def _in_short(error: Exception) -> str:
    """The cause of a failure in Keras, without the configs and the values of variables that it shows."""
    message = _NOISE.sub("", str(error).rpartition("Exception encountered: ")[2])
    return " ".join(message.split())[:_SHOWN_CHARACTERS]


def _path(source: Source) -> pathlib.Path:
    if source.path is None:
        raise ValueError(f"A source of the kind {source.kind} must have a path.")
    return source.path


def _digest(path: pathlib.Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def _directory_digest(path: pathlib.Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{_digest(file)} {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
