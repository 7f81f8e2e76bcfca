"""LiteRT with XNNPACK, in float32 or, with ranges taken from calibration samples, in int8."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import convert_phase

from tfperf.inference.forms import frozen
from tfperf.inference.forms.machine import UnavailableError

if TYPE_CHECKING:
    import keras

_MOST_CALIBRATION_SAMPLES = 128  # ranges of activations hardly move after 100 or so; each sample takes about 0.1 s


def build(model: keras.Model, directory: pathlib.Path, *, precision: str, calibration: np.ndarray) -> None:
    """Writes the converted model.

    Raises:
        UnavailableError: LiteRT has no kernel for some operation, or int8 has no calibration samples.
    """
    # Not the Keras model: calibration fails on its variables ("variable != nullptr").
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen.freeze(model)])
    if precision == "int8":
        _quantise(converter, calibration[:_MOST_CALIBRATION_SAMPLES])
    with warnings.catch_warnings():
        # It wants the ranges of inputs that were quantised in training, before it has taken those of the calibration.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
        try:
            converted = converter.convert()
        except convert_phase.ConverterError as error:
            raise UnavailableError(f"LiteRT can't convert the model: {error}") from error
    (directory / "model.tflite").write_bytes(converted)


def open_form(directory: pathlib.Path, *, precision: str, threads: int) -> Interpreters:
    """What was built, without an interpreter yet."""
    return Interpreters(directory / "model.tflite", form=f"litert-{precision}", threads=threads)


class Interpreters:
    """One interpreter for each batch size, all of one model file.

    Implements `executable.Executable`.
    """

    def __init__(self, path: pathlib.Path, *, form: str, threads: int) -> None:
        """Reads what the model takes.

        Args:
            path: of a LiteRT model whose first dimension may be resized.
            form: as in `spec.Executable`.
            threads: of XNNPACK.
        """
        self.form, self.threads, self._path = form, threads, path
        self.batch_sizes: tuple[int, ...] = ()
        self._interpreters: dict[int, tuple[Any, int, int]] = {}  # with the numbers of its input and its output
        (inputs,) = Interpreter(model_path=str(path)).get_input_details()
        self.input_shape: tuple[int, ...] = tuple(int(size) for size in inputs["shape"][1:])
        self.input_dtype: np.dtype[Any] = np.dtype(inputs["dtype"])
        self._scale, self._zero_point = inputs["quantization"]

    def prepare(self, batch_size: int) -> None:
        """Makes the interpreter of a batch size and runs it once, which packs the weights."""
        if batch_size in self._interpreters:
            return
        interpreter = Interpreter(model_path=str(self._path), num_threads=self.threads)
        shape = [batch_size, *self.input_shape]
        (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(inputs["index"], shape)
        interpreter.allocate_tensors()
        self._interpreters[batch_size] = interpreter, inputs["index"], outputs["index"]
        self.batch_sizes = tuple(sorted(self._interpreters))
        self.run(np.zeros(shape, self.input_dtype))

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """The samples in float32 or quantised, contiguous."""
        if self.input_dtype == np.float32:
            return np.ascontiguousarray(samples, np.float32)
        limits = np.iinfo(self.input_dtype)
        quantised = np.rint(samples / np.float32(self._scale)) + self._zero_point
        return np.ascontiguousarray(quantised.clip(limits.min, limits.max), self.input_dtype)

    def stage(self, inputs: np.ndarray) -> np.ndarray:
        """The inputs themselves: the interpreter's own memory is not written while it may be running."""
        return inputs

    def run(self, staged: np.ndarray) -> np.ndarray:
        """The outputs, copied out of the interpreter."""
        interpreter, into, out = self._interpreters[len(staged)]
        interpreter.set_tensor(into, staged)
        interpreter.invoke()
        outputs: np.ndarray = interpreter.get_tensor(out)
        return outputs

    def traces(self) -> int:
        """Interpreters made: they are laid out when they are made, and nothing is compiled later."""
        return len(self._interpreters)


def _quantise(converter: Any, calibration: np.ndarray) -> None:
    if not len(calibration):
        raise UnavailableError("int8 takes its ranges from calibration samples, and there are none.")

    def samples() -> Iterator[list[np.ndarray]]:
        for index in range(len(calibration)):
            yield [np.ascontiguousarray(calibration[index : index + 1], np.float32)]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
