"""Calls a Keras model on a tuple of tensors, and returns its outputs as another one, both in the declared order.

A Keras model may take and give a tensor, a list, a dict or a nested structure. The declared tensors are found in it by
name; if the names differ, by position in Keras's order, where dicts are sorted by key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfperf.benchmarks.tensor import Tensor

if TYPE_CHECKING:
    import keras


class SignatureError(ValueError):
    """A model has a different number of inputs or outputs than its benchmark declares."""


def inputs_by_name(model: keras.Model, declared: Sequence[Tensor]) -> tuple[Any, ...] | None:
    """The model's symbolic inputs in the declared order; None for a subclassed model, which has none.

    Raises:
        SignatureError: the model takes another number of inputs.
    """
    structure = _input_structure(model)
    if structure is None:
        return None
    names, tensors = _flat(structure)
    order = _order(names, declared, what="takes", noun="input")
    return tuple(tensors[place] for place in order)


def named_call(
    model: keras.Model, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A function from tensors in the order of `inputs` to tensors in the order of `outputs`, as in inference.

    A subclassed model is called on a tensor if it has one input, otherwise on a dict by name.

    Raises:
        SignatureError: the model takes another number of inputs. The function itself raises it for outputs.
    """
    import keras

    structure = _input_structure(model)
    order = None if structure is None else _order(_flat(structure)[0], inputs, what="takes", noun="input")

    def packed(tensors: Sequence[Any]) -> Any:
        if order is not None:
            flat = [tensor for _, tensor in sorted(zip(order, tensors, strict=True), key=lambda pair: pair[0])]
            return keras.tree.pack_sequence_as(structure, flat)
        if len(tensors) == 1:
            return tensors[0]
        return {declared.name: tensor for declared, tensor in zip(inputs, tensors, strict=True)}

    def call(tensors: Sequence[Any]) -> tuple[Any, ...]:
        names, given = _flat(model(packed(tensors), training=False))
        names = _layer_names(model, names)
        return tuple(given[place] for place in _order(names, outputs, what="gives", noun="output"))

    return call


def _input_structure(model: keras.Model) -> Any:
    """The inputs as the model's constructor got them; None if it got none."""
    import keras

    if isinstance(model, keras.Sequential):
        inputs = model.inputs
        return inputs[0] if inputs else None
    return model.input if getattr(model, "inputs", None) else None


def _flat(structure: Any) -> tuple[list[str], list[Any]]:
    """Names and tensors of a structure: the last key of a dict on the way to a tensor, else the tensor's own name."""
    import keras

    found = keras.tree.flatten_with_path(structure)
    names = []
    for path, tensor in found:
        keys = [key for key in path if isinstance(key, str)]
        names.append(keys[-1] if keys else _own_name(tensor))
    return names, [tensor for _, tensor in found]


def _own_name(tensor: Any) -> str:
    """Symbolic Keras tensors have a name; those of TensorFlow have none in eager mode, and one of no use in a graph."""
    import keras

    return str(tensor.name) if isinstance(tensor, keras.KerasTensor) else ""


def _layer_names(model: keras.Model, names: list[str]) -> list[str]:
    """The names of outputs, from the layers that make them where the outputs have none of their own."""
    layers = getattr(model, "output_names", None) or ()
    if len(layers) != len(names):
        return names
    return [name or str(layer) for name, layer in zip(names, layers, strict=True)]


def _order(names: Sequence[str], declared: Sequence[Tensor], *, what: str, noun: str) -> list[int]:
    """For each declared tensor its place among the names."""
    if len(names) != len(declared):
        shown = f" ({', '.join(names)})" if all(names) else ""
        expected = ", ".join(str(tensor) for tensor in declared)
        raise SignatureError(
            f"The model {what} {len(names)} {noun}{'' if len(names) == 1 else 's'}{shown}, expected {len(declared)}: "
            f"{expected}."
        )
    declared_names = [tensor.name for tensor in declared]
    if sorted(names) == sorted(declared_names) and len(set(names)) == len(names):
        return [names.index(name) for name in declared_names]
    return list(range(len(declared)))
