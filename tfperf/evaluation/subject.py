"""The model that is evaluated: what was handed over, and how it is called. Nothing in it is changed."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfperf.errors import ArgumentError, UnfitModelError
from tfperf.inference import load_model

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A model that was adapted.

    Attributes:
        name: its name, for the result.
        kind: what it is.
        call: calls it on nested inputs, for inference.
        model: the Keras model; None for others, which have no compiled forms.
        traceable: whether `call` can be traced into a `tf.function`.
        notes: what a reader of the result should know.
    """

    name: str
    kind: Literal["keras", "saved_model", "callable"]
    call: Callable[[Any], Any]
    model: keras.Model | None = None
    traceable: bool = True
    notes: tuple[str, ...] = ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of a functional model's inputs; empty for others."""
        return tuple(tensor.name for tensor in getattr(self.model, "inputs", None) or ())


def adapt(model: Any, *, trusted: bool = False) -> Subject:
    """Adapts a Keras model, the path of one or of a SavedModel, or a function.

    Args:
        model: the model.
        trusted: whether code in a file may run, see `inference.weights.Weights`.

    Raises:
        ArgumentError: it is none of these.
        UnfitModelError: it was never built, so it has no weights yet.
        UsageError: a file can't be loaded.
    """
    import keras

    if isinstance(model, str | os.PathLike):
        return _loaded(pathlib.Path(model).expanduser(), trusted=trusted)
    if isinstance(model, keras.Model):
        return of_keras(model)
    if hasattr(model, "signatures") and hasattr(model.signatures, "keys"):
        return _of_saved_model(model, name="saved_model")
    if callable(model):
        name = getattr(model, "__name__", type(model).__name__)
        return Subject(name=_named(name), kind="callable", call=model, traceable=False)
    raise ArgumentError(
        f"model must be a Keras model, the path of a .keras file or a SavedModel, or a function; got "
        f"{type(model).__name__}."
    )


def of_keras(model: keras.Model) -> Subject:
    """A Keras model.

    Raises:
        UnfitModelError: it was never built.
    """
    if not model.built:
        raise UnfitModelError(
            f"The model {model.name!r} was never built: it has no weights yet, and building it here would change it. "
            "Call it once on a batch, build() it, or load its weights first."
        )
    notes = () if model.variables else ("The model has no weights.",)
    return Subject(
        name=_named(model.name),
        kind="keras",
        call=lambda inputs: model(inputs, training=False),
        model=model,
        notes=notes,
    )


def _loaded(path: pathlib.Path, *, trusted: bool) -> Subject:
    import tensorflow as tf

    if path.suffix == ".keras" or path.is_file():
        model, notes = load_model.read_keras(path, trusted=trusted)
        found = of_keras(model)
        return dataclasses.replace(found, name=_named(path.stem), notes=(*found.notes, *notes))
    load_model.check_saved_model(path, trusted=trusted)
    return _of_saved_model(tf.saved_model.load(str(path)), name=path.name)


def _of_saved_model(module: Any, *, name: str) -> Subject:
    """A SavedModel by its signature `serving_default`."""
    signatures = list(module.signatures.keys())
    if "serving_default" not in signatures:
        raise UnfitModelError(
            f"The SavedModel {name} has no signature serving_default; it has {', '.join(signatures) or 'none'}. Export "
            "it with model.export(DIRECTORY)."
        )
    signature = module.signatures["serving_default"]
    names = sorted(signature.structured_input_signature[1])

    def call(inputs: Any) -> Any:
        import keras
        import tensorflow as tf

        given = inputs if isinstance(inputs, dict) else dict(zip(names, keras.tree.flatten(inputs), strict=True))
        if set(given) != set(names):
            raise UnfitModelError(
                f"The signature serving_default takes {', '.join(names)}; the data gives {', '.join(sorted(given))}."
            )
        wanted = signature.structured_input_signature[1]
        found = signature(
            **{
                key: tf.cast(tf.convert_to_tensor(given[key]), wanted[key].dtype)
                if wanted[key].dtype != tf.string
                else tf.convert_to_tensor(given[key])
                for key in names
            }
        )
        return next(iter(found.values())) if len(found) == 1 else found

    call.module = module  # type: ignore[attr-defined]  # keeps its variables alive
    return Subject(name=_named(name), kind="saved_model", call=call)


def _named(name: str) -> str:
    """A name that may be part of the name of a directory."""
    kept = "".join(character if character.isalnum() or character in "-_." else "_" for character in name)
    return kept.strip("._") or "model"


def flat_outputs(outputs: Any) -> Sequence[Any]:
    """The tensors of nested outputs, in Keras's order."""
    import keras

    return list(keras.tree.flatten(outputs))
