"""LiteRT with XNNPACK, in float32 or in int8: with ranges from calibration samples, or dynamic ones.

With dynamic ranges (`dynamic_int8`) weights are int8 and the inputs of each matrix product are quantised as they come,
row by row. Nothing is calibrated, and all else is computed in float32.
"""

from __future__ import annotations

import pathlib
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import convert_phase

from tfperf.benchmarks.tensor import Batch, Sample, Tensor, batch_of, has_length, length_of
from tfperf.inference.executable import Bucket, bucket_of, empty_batch
from tfperf.inference.forms import signature
from tfperf.inference.forms.machine import UnavailableError

if TYPE_CHECKING:
    import keras


def build(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    precision: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    calibration: Sequence[Sample],
) -> None:
    """Writes the converted model.

    Raises:
        UnavailableError: LiteRT has no kernel for some operation, or int8 has no calibration samples.
    """
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        signature.save(model, pathlib.Path(folder), inputs, outputs)
        # A file takes 3 times the memory of the weights. A function takes 18 times, and of the Keras model calibration
        # fails on the variables ("variable != nullptr").
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision == "int8":
            _quantise(converter, calibration, inputs)
        elif precision == "dynamic_int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        with warnings.catch_warnings():
            # It expects the ranges of inputs that were quantised in training, before it has taken those of the
            # calibration.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
            # TensorFlow's own calibrator uses it.
            warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
            try:
                converted = converter.convert()
            except (convert_phase.ConverterError, RuntimeError, ValueError) as error:
                raise UnavailableError(f"LiteRT can't convert the model: {_reason(error)}") from error
    (directory / "model.tflite").write_bytes(converted)


def open_form(
    directory: pathlib.Path, *, form: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], threads: int
) -> Interpreters:
    """Opens what was built. Interpreters are created later."""
    return Interpreters(directory / "model.tflite", form=form, inputs=inputs, outputs=outputs, threads=threads)


# Each interpreter packs the weights for itself, so a large model has one, which takes 0.1 ms to change its size (0.1 %
# of the time of ResNet-50). A small model would lose more by that than a few megabytes are worth.
_SHARED_FROM_BYTES = 32_000_000


class _Encoding(NamedTuple):
    """How LiteRT keeps a tensor: quantised by a scale and a zero point, or as it is where the scale is 0."""

    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    def encode(self, array: np.ndarray) -> np.ndarray:
        if not self.scale:
            return np.ascontiguousarray(array, self.dtype)
        limits = np.iinfo(self.dtype)
        quantised = np.rint(array / np.float32(self.scale)) + self.zero_point
        return np.ascontiguousarray(quantised.clip(limits.min, limits.max), self.dtype)

    def decode(self, array: np.ndarray) -> np.ndarray:
        if not self.scale:
            return array
        return (array.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)


class _Resizable:
    """An interpreter that is laid out for one bucket at a time."""

    def __init__(self, path: pathlib.Path, inputs: tuple[Tensor, ...], *, threads: int) -> None:
        self._inputs = inputs
        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        called = self._interpreter.get_signature_runner()
        taken, given = (_in_order(ends) for ends in (called.get_input_details(), called.get_output_details()))
        self.encodings = [_encoding(details) for details in taken]
        self._taken = [details["index"] for details in taken]
        self._given = [(details["index"], _encoding(details)) for details in given]
        self._bucket: Bucket | None = None

    def run(self, bucket: Bucket, batch: Batch) -> Batch:
        """The outputs, copied out of the interpreter."""
        if bucket != self._bucket:
            self._lay_out(bucket)
        for number, array in zip(self._taken, batch, strict=True):
            self._interpreter.set_tensor(number, array)
        self._interpreter.invoke()
        return tuple([encoding.decode(self._interpreter.get_tensor(number)) for number, encoding in self._given])

    def _lay_out(self, bucket: Bucket) -> None:
        for number, tensor in zip(self._taken, self._inputs, strict=True):
            self._interpreter.resize_tensor_input(number, [bucket.batch, *tensor.at(bucket.length)])
        self._interpreter.allocate_tensors()
        self._bucket = bucket


class Interpreters:
    """A large model in one interpreter that changes its size, a small one in an interpreter for each bucket.

    Implements `forms.Opened`.
    """

    host_memory = True

    def __init__(
        self, path: pathlib.Path, *, form: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], threads: int
    ) -> None:
        """Reads the types of the model's inputs.

        Args:
            path: a LiteRT model whose inputs may be resized.
            form: as in `spec.Executable`.
            inputs: the model's inputs.
            outputs: the model's outputs.
            threads: CPU threads for XNNPACK.
        """
        self.form, self.inputs, self.outputs, self.threads = form, inputs, outputs, threads
        self._path = path
        self._first = _Resizable(path, inputs, threads=threads)
        self._interpreters: dict[Bucket, _Resizable] = {}
        self.encoded: tuple[np.dtype[Any], ...] = tuple(encoding.dtype for encoding in self._first.encodings)

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Those that were prepared, ascending."""
        return tuple(sorted(self._interpreters))

    def prepare(self, bucket: Bucket) -> None:
        """Runs a bucket once, which packs the weights of its interpreter."""
        if bucket in self._interpreters:
            return
        shares = not self._interpreters or self._path.stat().st_size >= _SHARED_FROM_BYTES
        self._interpreters[bucket] = (
            self._first if shares else _Resizable(self._path, self.inputs, threads=self.threads)
        )
        self.run(self.stage(self.encode(empty_batch(self.inputs, bucket))))

    def another(self) -> Interpreters:
        """The same model in interpreters of its own: an interpreter runs in one thread at a time."""
        other = Interpreters(self._path, form=self.form, inputs=self.inputs, outputs=self.outputs, threads=self.threads)
        for bucket in self.buckets:
            other.prepare(bucket)
        return other

    def encode(self, batch: Batch) -> Batch:
        """The samples, floating-point ones quantised if the model is; contiguous."""
        return tuple(encoding.encode(array) for encoding, array in zip(self._first.encodings, batch, strict=True))

    def stage(self, batch: Batch) -> tuple[Bucket, Batch]:
        """The bucket and the inputs. No interpreter: it may be running, or another instance may run the batch."""
        return bucket_of(batch, self.inputs), batch

    def run(self, staged: tuple[Bucket, Batch]) -> Batch:
        """The outputs, copied out of the interpreter."""
        bucket, batch = staged
        return self._interpreters[bucket].run(bucket, batch)

    def traces(self) -> int:
        """Buckets that were prepared. Nothing is compiled later."""
        return len(self._interpreters)


def _reason(error: Exception) -> str:
    """What stops a conversion: the operations without a kernel, or the first line of the message."""
    lacking = sorted(set(re.findall(r"'(\S+)' op is neither a custom op nor a flex op", str(error))))
    return f"it has no kernel for {', '.join(lacking)}" if lacking else str(error).strip().partition("\n")[0]


def _in_order(details: Mapping[str, Any]) -> list[Any]:
    """The tensors of one end of a signature, in the order of the names that `signature.save` gives them."""
    return [details[name] for name in sorted(details)]


def _encoding(details: Any) -> _Encoding:
    scale, zero_point = details["quantization"]
    return _Encoding(np.dtype(details["dtype"]), float(scale), int(zero_point))


def _quantise(converter: Any, calibration: Sequence[Sample], inputs: tuple[Tensor, ...]) -> None:
    if not calibration:
        raise UnavailableError("int8 takes its ranges from calibration samples, and there are none.")
    # The calibrator lays its tensors out once, so all samples have the length of the longest.
    longest = max(length_of(sample, inputs) or 0 for sample in calibration) if has_length(inputs) else None

    def samples() -> Iterator[dict[str, np.ndarray]]:
        for sample in calibration:
            batch = batch_of([sample], inputs, length=longest)
            yield {signature.input_name(place): array for place, array in enumerate(batch)}

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
