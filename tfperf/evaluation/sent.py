"""The model and its samples as files, from which a process of its own opens them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfperf.benchmarks.tensor import Sample, Tensor
from tfperf.errors import FailedRequestError, TfperfError
from tfperf.evaluation import placement
from tfperf.evaluation.examples import Examples, Kept
from tfperf.evaluation.executables import AS_GIVEN, Ends
from tfperf.evaluation.grid import Combination
from tfperf.evaluation.subject import Subject, flat_outputs
from tfperf.inference import forms
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.inference.job import ServedModel
from tfperf.system import allocator


class UnsendableError(TfperfError):
    """A model or data that a process of its own can't open. The message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentModel:
    """A compiled form and its samples; picklable.

    Attributes:
        form: the executable.
        directory: where it was built.
        inputs: the model's inputs.
        outputs: the model's outputs.
        samples: the folder with an array for each input.
        total: how many samples there are.
        buckets: the sizes to compile for.
        threads: CPU threads per operation.
        instances: how many instances to open on each device.
        device: the device, as the spec names it.
    """

    form: str
    directory: pathlib.Path
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    samples: pathlib.Path
    total: int
    buckets: tuple[Bucket, ...]
    threads: int
    instances: int
    device: str

    @property
    def all_instances(self) -> int:
        """Instances on all devices."""
        return self.instances * placement.count(self.device)


class Sender:
    """Writes what another process needs, once.

    Args:
        subject: the model.
        examples: its data.
        ends: what goes in and comes out.
        kept: the samples to send.
        directory: the forms are built in folders of it, one of the name of each.
    """

    def __init__(
        self, subject: Subject, examples: Examples, ends: Ends, kept: Kept, *, directory: pathlib.Path
    ) -> None:
        self._subject, self._examples, self._ends, self._kept = subject, examples, ends, kept
        self._directory = directory
        self._refused: UnsendableError | None = None

    def send(self, combination: Combination, *, batch_sizes: Sequence[int]) -> SentModel:
        """What a process needs to measure a combination.

        Raises:
            UnsendableError: it can't be sent.
        """
        name = combination.executable
        if _holds_gpus():
            raise UnsendableError(
                "TensorFlow in this process holds all the memory of the GPU; call tf.config.experimental."
                "set_memory_growth before it is used"
            )
        if name == AS_GIVEN:
            self._write_given()
        return SentModel(
            form=name,
            directory=self._directory / name,
            inputs=self._ends.inputs,
            outputs=self._ends.outputs,
            samples=self._written_samples(),
            total=len(self._kept.inputs[0]),
            buckets=tuple(Bucket(size) for size in sorted(set(batch_sizes))),
            threads=placement.threads_of(
                combination.threads, instances=combination.instances, device=combination.device
            ),
            instances=combination.instances,
            device=combination.device,
        )

    def _written_samples(self) -> pathlib.Path:
        folder = self._directory / "samples"
        if not folder.exists():
            if any(array.dtype == object for array in self._kept.inputs):
                raise UnsendableError("its inputs are text")
            folder.mkdir()
            for place, array in enumerate(self._kept.inputs):
                np.save(folder / f"{place}.npy", array)
        return folder

    def _write_given(self) -> None:
        """Writes the model as it was given as a SavedModel, with one function of its flat inputs."""
        import tensorflow as tf

        folder = self._directory / AS_GIVEN / "saved_model"
        if self._refused is not None:
            raise self._refused
        if folder.exists():
            return
        try:
            if self._subject.kind == "callable":
                raise UnsendableError("a function of Python stays in the process that it was made in")
            call, packed = self._subject.call, self._examples.packed
            module = tf.Module()
            model = self._subject.model
            module.kept = [variable.value for variable in model.variables] if model is not None else call.module  # type: ignore[attr-defined]
            module.serve = tf.function(
                lambda *tensors: tuple(flat_outputs(call(packed(tensors)))),
                input_signature=[tf.TensorSpec([None, *tensor.shape], tensor.dtype) for tensor in self._ends.inputs],
                autograph=False,
            )
            tf.saved_model.save(module, str(folder))
        except UnsendableError as error:
            self._refused = error
            raise
        except Exception as error:  # whatever somebody's model raises when it is traced for any batch size, or saved
            words = " ".join(str(error).split())[:200]
            self._refused = UnsendableError(f"it can't be saved as a SavedModel: {type(error).__name__}: {words}")
            raise self._refused from error


def _holds_gpus() -> bool:
    """Whether TensorFlow in this process has taken the memory of GPUs that another would need."""
    import tensorflow as tf

    visible = tf.config.get_visible_devices("GPU")
    return any(not tf.config.experimental.get_memory_growth(gpu) for gpu in visible)


def open_forms(sent: SentModel) -> tuple[forms.Opened, ...]:
    """Opens the model on all its devices, compiled for every size. Call this in a fresh process.

    Raises:
        DeviceError: a device is missing.
    """
    allocator.keep_freed_memory()
    placement.set_up(sent.device, threads=sent.threads, instances=sent.instances)

    def open_one() -> forms.Opened:
        if sent.form != AS_GIVEN:
            return forms.open_form(sent.form, sent.directory, buckets=sent.buckets, threads=sent.threads)
        from tfperf.inference.forms import function

        opened: forms.Opened = function.open_form(  # type: ignore[assignment]  # as `forms.open_form` takes it
            sent.directory, form=sent.form, inputs=sent.inputs, outputs=sent.outputs, threads=sent.threads
        )
        for bucket in sent.buckets:
            opened.prepare(bucket)
        return opened

    return placement.opened(open_one, sent.device, instances=sent.instances)


def open_samples(sent: SentModel) -> tuple[np.ndarray, ...]:
    """The samples, an array [total, ...] for each input, read from the disk when they are used."""
    return tuple(np.load(sent.samples / f"{place}.npy", mmap_mode="r") for place in range(len(sent.inputs)))


def open_served(sent: SentModel) -> ServedModel:
    """Opens the model for LoadGen. Call this in a fresh process."""
    executable, *copies = open_forms(sent)
    arrays = open_samples(sent)

    def load(numbers: Sequence[int]) -> list[Sample]:
        return [tuple(np.array(array[number]) for array in arrays) for number in numbers]

    return ServedModel(
        executable=executable,
        copies=tuple(copies),
        total=sent.total,
        load=load,
        respond=_Finite(sent.total),
        processor=machine.computes(sent.form if sent.form != AS_GIVEN else forms.REFERENCE),
    )


class _Finite:
    """Gives LoadGen the first output, and looks at the first answer to each sample.

    Args:
        total: how many samples there are.
    """

    def __init__(self, total: int) -> None:
        self._looked = bytearray(total)

    def __call__(self, outputs: Any, indices: Sequence[int]) -> np.ndarray:
        looked = self._looked
        for place, number in enumerate(indices):
            if not looked[number]:
                looked[number] = 1
                for array in outputs:
                    if array.dtype.kind in "fc" and not np.isfinite(array[place]).all():
                        raise FailedRequestError(f"the answer to sample {number} holds NaN or an infinity")
        first = outputs[0]
        return np.ascontiguousarray(first).reshape(len(first), -1)
