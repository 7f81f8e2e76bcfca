"""Loads the model to serve, in the process that uses it."""

from __future__ import annotations

import contextlib
import importlib
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfperf import json_text
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import UsageError
from tfperf.inference import operations
from tfperf.inference.weights import FoundModel

if TYPE_CHECKING:
    import keras

# The parts of Keras's messages that can be pages long: the values of a variable, the config of an object.
_NOISE = re.compile(r"(, (dtype=\w+, )?value=\[| Full object config: ).*", re.DOTALL)
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_VERSION = re.compile(r"[0-9]+(\.[0-9A-Za-z-]+)*")
_SHOWN_CHARACTERS = 400
_OWN_MODULE = re.compile(r"tfperf\.benchmarks(\.[a-z][a-z0-9_]*)+")
_OWN_NAMES = "tfperf>"
_MOST_CONFIG_BYTES = 2**28


def load(found: FoundModel, task: InferenceTask, options: Any) -> keras.Model:
    """The model, uncompiled, in float32.

    The serving signature of a SavedModel and foreign weights come as a model that takes the benchmark's samples. A
    foreign model in a `.keras` file is taken as it is: its input is up to the user.

    Raises:
        UsageError: it can't be read, holds untrusted code, or weights of another model.
    """
    import keras

    match found.kind:
        case "random":
            keras.utils.set_random_seed(found.seed)
            return task.build_model(options)
        case "keras":
            return _load_keras(_path(found), trusted=found.trusted)
        case "weights":
            return _with_weights(task.build_model(options), _path(found))
        case "checkpoint":
            return _with_checkpoint(task, options, _path(found))
        case "saved_model":
            _check_operations(_path(found), trusted=found.trusted)
            return _load_saved_model(_path(found), task.inputs(options), task.outputs(options))
    (foreign,) = (weights for weights in task.foreign_weights if weights.kind == found.kind)
    model = _with_weights(foreign.build_model(options), _path(found))
    foreign.adapt(model)
    return model


def shortened(error: Exception) -> str:
    """The cause of a failure in Keras, without the configs and the values of variables that it shows."""
    message = _TERMINAL_CODES.sub("", _NOISE.sub("", str(error).rpartition("Exception encountered: ")[2]))
    return " ".join(message.split())[:_SHOWN_CHARACTERS]


def read_keras(path: pathlib.Path, *, trusted: bool) -> tuple[keras.Model, tuple[str, ...]]:
    """The model in a `.keras` file as it was saved: compiled if it was and its loss and metrics can be read.

    Returns:
        The model, and a note if it could only be read without them.

    Raises:
        UsageError: it doesn't exist, can't be read, or holds untrusted code.
    """
    import keras

    if not path.is_file():
        raise UsageError(f"{path} does not exist. Pass a .keras file or the directory of a SavedModel.")
    model = _read_uncompiled(path, trusted=trusted)
    if not trusted and any(_foreign(_config(path, compiled=True))):
        return model, ("The file's loss or metrics are not part of Keras, so the model was read without them.",)
    try:  # without the optimizer, whose variables only training needs
        compiled = keras.saving.deserialize_keras_object(_config(path, compiled=True).get("compile_config") or {})
        if compiled:
            model.compile(**{name: compiled.get(name) for name in ("loss", "metrics", "weighted_metrics")})
        return model, ()
    except Exception as error:  # whatever the parts of a compiled model raise
        reason = shortened(error)
        return model, (f"The model was read without its loss and metrics, which can't be read: {reason}",)


def check_saved_model(path: pathlib.Path, *, trusted: bool) -> None:
    """Refuses a directory that is no SavedModel, or that may do more than compute.

    Raises:
        UsageError: says why.
    """
    if not (path / "saved_model.pb").is_file():
        raise UsageError(f"{path} is neither a .keras file nor the directory of a SavedModel.")
    _check_operations(path, trusted=trusted)


def _load_keras(path: pathlib.Path, *, trusted: bool) -> keras.Model:
    return _in_float32(_read_uncompiled(path, trusted=trusted), path)


def _read_uncompiled(path: pathlib.Path, *, trusted: bool) -> keras.Model:
    import keras

    config = _config(path)
    if any(module.partition(".")[0] == "tf_keras" for module in _modules(config)):
        raise UsageError(_by_keras_2(path))
    found = () if trusted else tuple(sorted(set(_foreign(config))))
    if found:
        raise UsageError(
            f"{path} contains code that is not part of Keras: {', '.join(found)}. Loading it can run arbitrary code. "
            "If you trust its source, pass --trust_model."
        )
    _import_own(config)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not trusted)
    except Exception as error:  # whatever Keras, h5py and zipfile raise for a file that anyone may have made
        if _keras_version(path).startswith("2."):
            raise UsageError(_by_keras_2(path)) from error
        raise UsageError(f"{path} can't be loaded: {type(error).__name__}: {shortened(error)}") from error


def _by_keras_2(path: pathlib.Path) -> str:
    return (
        f"{path} was saved by Keras 2 ({_keras_version(path)}), which this Keras 3 can't read. Load it with Keras 2 "
        "and save it as a SavedModel, model.export(DIRECTORY), which can be served."
    )


def _keras_version(path: pathlib.Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            version = json_text.parse(archive.read("metadata.json"))["keras_version"]
    except Exception:  # zipfile has many for a damaged archive; the caller reports the damage
        version = None
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else "of an unknown version"


def _modules(config: Any) -> Iterator[str]:
    """The modules of the objects in a config."""
    if isinstance(config, dict):
        if isinstance(config.get("module"), str):
            yield config["module"]
        for value in config.values():
            yield from _modules(value)
    elif isinstance(config, list):
        for value in config:
            yield from _modules(value)


def _config(path: pathlib.Path, *, compiled: bool = False) -> Any:
    """The part of the file that is built when it is loaded: uncompiled, or also what it was compiled with."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("config.json").file_size
            if size > _MOST_CONFIG_BYTES:
                raise ValueError(f"its config.json has {size:,} bytes")
            whole = json_text.parse(archive.read("config.json"))
        if not isinstance(whole, dict):
            raise ValueError("its config.json is not an object")
    except Exception as error:  # zipfile has many for a damaged archive
        raise UsageError(f"{path} holds no Keras model: {error}. Save it with model.save.") from error
    return {name: value for name, value in whole.items() if compiled or name != "compile_config"}


def _foreign(config: Any) -> Iterator[str]:
    """The lambdas, and the classes and functions that are not part of Keras, in a config."""
    if isinstance(config, dict):
        name, module = config.get("class_name"), config.get("module")
        if name == "__lambda__":
            yield "a lambda"
        elif name == "function":
            yield f"the function {config.get('config')}"
        elif isinstance(name, str) and "registered_name" in config and not (_is_keras(module) or _is_own(config)):
            yield f"the class {config['registered_name'] or name}"
        for value in config.values():
            yield from _foreign(value)
    elif isinstance(config, list):
        for value in config:
            yield from _foreign(value)


def _is_keras(module: Any) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "keras"


def _is_own(config: Mapping[str, Any]) -> bool:
    """Whether the config is of a layer that a benchmark of tfperf registers."""
    module, name = config.get("module"), config.get("registered_name")
    own = isinstance(module, str) and _OWN_MODULE.fullmatch(module)
    return bool(own) and isinstance(name, str) and name.startswith(_OWN_NAMES)


def _import_own(config: Any) -> None:
    """Imports the modules of the layers that a benchmark of tfperf registers, so that Keras knows them."""
    for module in sorted(set(_modules(config))):
        if _OWN_MODULE.fullmatch(module):
            with contextlib.suppress(ModuleNotFoundError):  # Keras says which layer it doesn't know
                importlib.import_module(module)


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
            f"{path} computes in {model.compute_dtype} and can't be changed: {shortened(error)} Save it in float32."
        ) from error
    plain.set_weights(model.get_weights())
    return plain


def _with_weights(model: keras.Model, path: pathlib.Path) -> keras.Model:
    refusal = f"The weights in {path} are not those of the benchmark's model {model.name!r}"
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            model.load_weights(path)
    except Exception as error:  # h5py has many for a damaged file
        raise UsageError(f"{refusal}: {shortened(error)}") from error
    # If the file lacks the weights of a layer, Keras only warns and keeps the initial ones.
    doubts = [warning.message for warning in caught if issubclass(warning.category, UserWarning)]
    if doubts:
        raise UsageError(f"{refusal}: {doubts[0]}")
    return model


def _with_checkpoint(task: InferenceTask, options: Any, path: pathlib.Path) -> keras.Model:
    model = task.build_model(options)
    assert task.checkpoints is not None  # by which it was found
    task.checkpoints.load(model, path, options)
    return model


def _check_operations(path: pathlib.Path, *, trusted: bool) -> None:
    """Refuses a SavedModel that could read or write files or run code outside TensorFlow, before it is loaded."""
    try:
        found = () if trusted else operations.unsafe(path)
    except Exception as error:  # protobuf has its own for a damaged file
        raise UsageError(f"{path / 'saved_model.pb'} can't be read: {shortened(error)}. Export it again.") from error
    if found:
        raise UsageError(
            f"{path} contains operations that can read or write outside the model: {', '.join(found)}. If you trust "
            "its source, pass --trust_model."
        )


def _load_saved_model(path: pathlib.Path, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> keras.Model:
    import keras

    class ServingSignature(keras.layers.TFSMLayer):  # type: ignore[misc]
        """The signature called by the names of its inputs."""

        def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
            return self.call_endpoint_fn(**inputs)

    samples = {tensor.name: keras.Input(tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in inputs}
    try:
        layer = ServingSignature(str(path), call_endpoint="serving_default")
        taken = layer.call_endpoint_fn.structured_input_signature[1]
        names = _signature_names(taken, inputs)
        _check_signature([taken[name] for name in names], path, inputs)
        given = layer({name: samples[tensor.name] for name, tensor in zip(names, inputs, strict=True)})
    except UsageError:
        raise
    except Exception as error:  # any at all: the model is the user's
        expected = "; ".join(map(str, inputs))
        raise UsageError(
            f"The signature serving_default of {path} can't be called on {expected}: {shortened(error)}"
        ) from error
    return keras.Model(_or_the_only(samples), _or_the_only(_declared_outputs(given, path, outputs)), name="saved_model")


def _check_signature(taken: Sequence[Any], path: pathlib.Path, inputs: Sequence[Tensor]) -> None:
    """Refuses a signature that takes other values than the benchmark gives, or one batch size only.

    Raises:
        UsageError: says what to export in its place.
    """
    for spec, tensor in zip(taken, inputs, strict=True):
        dtype, shape = spec.dtype.name, spec.shape
        found = f"The signature serving_default of {path} takes {spec.name} as {dtype} {shape}"
        if dtype != tensor.dtype:
            decoding = " It seems to decode files itself." if dtype == "string" else ""
            raise UsageError(
                f"{found}; the benchmark gives {tensor}.{decoding} Export a signature that takes {tensor.dtype}, "
                "without what the benchmark does before the model."
            )
        if shape.rank and shape[0] is not None:
            raise UsageError(
                f"{found}, so batches of {shape[0]} only. Samples come in batches of several sizes: export it with "
                "None as the batch size."
            )


def _or_the_only(tensors: Mapping[str, Any]) -> Any:
    return tensors if len(tensors) > 1 else next(iter(tensors.values()))


def _signature_names(taken: Mapping[str, Any], inputs: Sequence[Tensor]) -> list[str]:
    """The signature's names for the inputs: the same, or the only one."""
    names = [tensor.name for tensor in inputs]
    if sorted(taken) == sorted(names):
        return names
    if len(taken) == len(names) == 1:
        return list(taken)
    raise ValueError(f"its inputs are {', '.join(sorted(taken))}.")


def _declared_outputs(given: Any, path: pathlib.Path, outputs: Sequence[Tensor]) -> dict[str, Any]:
    """The outputs of a signature by the declared names: of the same name, or else the only one that fits."""
    named = dict(given) if isinstance(given, dict) else {"output": given}
    found = {}
    for tensor in outputs:
        fitting = [output for output in named.values() if len(named) == 1 or _fits(output, tensor)]
        if tensor.name in named:
            fitting = [named[tensor.name]]
        if len(fitting) != 1:
            shown = ", ".join(f"{name} {_shown(output)}" for name, output in sorted(named.items()))
            raise UsageError(
                f"The signature serving_default of {path} gives {shown}; the benchmark expects "
                f"{'; '.join(map(str, outputs))}. Give the outputs these names."
            )
        found[tensor.name] = fitting[0]
    return found


def _fits(output: Any, tensor: Tensor) -> bool:
    shape = tuple(output.shape[1:])
    return len(shape) == len(tensor.shape) and all(
        None in (size, expected) or size == expected for size, expected in zip(shape, tensor.shape, strict=True)
    )


def _shown(output: Any) -> str:
    return f"[{', '.join(('n', *map(str, output.shape[1:])))}]"


def _path(found: FoundModel) -> pathlib.Path:
    if found.path is None:
        raise ValueError(f"A model of the kind {found.kind} must have a path.")
    return found.path
