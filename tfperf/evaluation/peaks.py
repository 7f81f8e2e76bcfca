"""What an evaluated model did in a second, beside what this machine was measured to do at most."""

from __future__ import annotations

import functools

from tfperf import result
from tfperf.analysis import bottleneck
from tfperf.analysis.bottleneck import PeakShares
from tfperf.evaluation.examples import Examples
from tfperf.evaluation.executables import AS_GIVEN, Ends
from tfperf.evaluation.subject import Subject, flat_outputs
from tfperf.inference import model_cost
from tfperf.inference.model_cost import MachinePeak, ModelWork

_CPU = ("auto", "cpu")


class Peaks:
    """Counts the work of a model and measures the machine when a load is first asked for; each once.

    Args:
        subject: the model.
        examples: its data.
        ends: what goes into the model.
    """

    def __init__(self, subject: Subject, examples: Examples, ends: Ends) -> None:
        self._subject, self._examples, self._ends = subject, examples, ends

    def of(self, load: result.LoadPhase) -> PeakShares | str:
        """The shares of a load, which are lower bounds; or why there are none.

        Every sample counts, as few executions as can have answered them, and as long a time as they can have taken.
        """
        refused = self._refused(load)
        if refused:
            return refused
        work = self._work
        if isinstance(work, str):
            return work
        of_queries = load.phase == "multistream"  # each in one execution, whatever the batch size
        executions_per_s = load.requests_per_s if of_queries else load.samples_per_s / load.batch_size
        machines = load.hosts * bottleneck.computing(load.busy, instances=load.instances // load.hosts)
        return PeakShares(
            arithmetic=work.flops * load.samples_per_s / machines / self._peak.flops_per_s,
            copying=work.weights_bytes * executions_per_s / machines / self._peak.copied_bytes_per_s,
        )

    def _refused(self, load: result.LoadPhase) -> str:
        """Why the peak of this process says nothing about a load: it is of float32 on the CPU."""
        import tensorflow as tf

        if load.device not in _CPU or tf.config.get_visible_devices("GPU"):
            return "the peak of the machine is measured for the CPU only"
        if load.executable != AS_GIVEN and not load.executable.endswith("-float32"):
            return "the peak of the machine is measured in float32 only"
        if not self._subject.traceable:
            return "the operations of a function of Python can't be counted"
        return ""

    @functools.cached_property
    def _work(self) -> ModelWork | str:
        import tensorflow as tf

        specs = [
            tf.TensorSpec((1, *each.shape), tf.string if each.dtype == "object" else each.dtype)
            for each in self._ends.inputs
        ]
        try:
            counted = model_cost.counted(
                lambda *tensors: flat_outputs(self._subject.call(self._examples.packed(tensors))), specs
            )
        except Exception as error:  # whatever TensorFlow's counter makes of somebody's layers: the result stays valid
            return model_cost.uncountable(error)
        if counted is None:
            return "TensorFlow has no counts for the model's operations"
        if not counted.float32:
            return "the model computes in less than float32, and the peak of the machine is measured in float32"
        return counted

    @functools.cached_property
    def _peak(self) -> MachinePeak:
        return model_cost.measured_peak()
