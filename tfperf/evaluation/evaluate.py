"""One evaluation, from the user's model and data to the result."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from tfperf import config as configs
from tfperf import spec as specs
from tfperf.errors import ArgumentError, DeviceError
from tfperf.evaluation import examples as adapted_data
from tfperf.evaluation import judge, placement
from tfperf.evaluation import subject as adapted_model
from tfperf.evaluation.evaluation_run import Asked, EvaluationRun
from tfperf.evaluation.hosts import Hosts
from tfperf.evaluation.outcome import EvaluatedModel
from tfperf.evaluation.subject import Subject
from tfperf.system import assembly, cluster, devices, scratch
from tfperf.telemetry import recorder as recorders
from tfperf.workspace import Workspace


def evaluate(
    model: Any,
    data: Any,
    validation_data: Any = None,
    *,
    config: specs.EvaluateSpec | str | None = None,
    metrics: Sequence[Any] | None = None,
    workspace: Workspace | None = None,
    trust_model: bool = False,
) -> EvaluatedModel:
    """Measures how fast and how well any model answers, under the load that a config describes.

    The accuracy of every compiled form comes first, on the whole data; then the phases of the config, in order. The
    model is called for inference only; its weights, its compiled state and its flags stay as they are.

    On several hosts that TF_CONFIG lists, each calls this with the same config, model and data. Each sends and judges
    its share, all return the sum, and the first writes the run directory.

    Args:
        model: a Keras model, the path of a `.keras` file or a SavedModel, or a function of inputs.
        data: what Keras evaluates on: a batched `tf.data.Dataset`, arrays, (inputs, labels[, weights]), dicts of
            arrays, a `keras.utils.PyDataset`, an iterator of `ImageDataGenerator`, a generator or pandas frames.
        validation_data: the data to evaluate on, if `data` is what the model was trained on.
        config: a spec, the path of a yaml file or the name of a packaged config; None takes `evaluate`.
        metrics: Keras metrics, their names, or functions of (labels, outputs); None takes those of the config, and
            without any those that the model was compiled with.
        workspace: where the run directory goes; None takes `runs`.
        trust_model: whether code in the file of a model may run.

    Returns:
        The evaluation, with what was measured until it failed or was interrupted, if it was.

    Raises:
        TfperfError: the evaluation is impossible. This is raised before anything is measured.

    Example:
        config = tfperf.load_config("evaluate.yaml")
        result = tfperf.evaluate(model, validation_data, config=config)
        print(result)
    """
    spec = _spec(config)
    workers = cluster.from_environment()
    recorders.checked_meter(spec.telemetry, worker=workers.index, workers=workers.workers)
    use(spec)
    subject = model if isinstance(model, Subject) else adapted_model.adapt(model, trusted=trust_model)
    apart = _apart(spec)
    if apart and subject.kind == "callable":
        raise DeviceError(
            f"threads: {_listed(spec.threads)}, device: {_listed(spec.device)} need a process for each, and a function "
            "of Python stays in the process that it was made in. Set one of each, or evaluate a Keras model or a "
            "SavedModel."
        )
    chosen = data if validation_data is None else validation_data
    examples = adapted_data.adapt(chosen, as_columns=subject.input_names)
    if spec.measure == "pipeline" and examples.make is None:
        raise ArgumentError(
            f"measure: pipeline needs data that is made for each request; {examples.kind} that "
            f"{'can be read once' if examples.once else 'are in memory'} have no pipeline. Use measure: model, a "
            "tf.data.Dataset, a PyDataset or a function that returns a generator."
        )
    by, notes = judge.wanted(subject, spec.metrics if metrics is None else metrics)
    where = workspace or Workspace(output_dir=pathlib.Path("runs"), name=f"evaluate-{subject.name}")
    asked = Asked(spec=spec, subject=subject, examples=examples, by=by, apart=apart, notes=notes)
    if workers.workers > 1 and apart:
        raise DeviceError(
            "threads and device need a process for each, and several hosts evaluate in the process that TF_CONFIG "
            "names. Set one of each, or evaluate on one host."
        )
    with scratch.directory() as folder:
        if workers.workers == 1:
            return _run(EvaluationRun(asked, workspace=where, scratch=folder))
        with assembly.assembled(workers) as together:
            asked = dataclasses.replace(asked, hosts=Hosts(together))
            return _run(EvaluationRun(asked, workspace=where, scratch=folder))


def _run(run: EvaluationRun) -> EvaluatedModel:
    with run.recorder:
        return run.run()


def _spec(config: specs.EvaluateSpec | str | None) -> specs.EvaluateSpec:
    if isinstance(config, specs.EvaluateSpec):
        return config
    if config is None or isinstance(config, str):
        return configs.load_evaluation(config or "evaluate")
    raise ArgumentError(
        f"config must be what tfperf.load_config returns for a config with phases, got {type(config).__name__}."
    )


def _apart(spec: specs.EvaluateSpec) -> bool:
    """Whether every combination needs a process of its own: TensorFlow takes threads and devices once only."""
    return len(spec.threads) > 1 or len(spec.device) > 1 or any(placement.count(each) > 1 for each in spec.device)


def _listed(values: Sequence[object]) -> str:
    return ", ".join("null" if each is None else str(each) for each in values)


def use(spec: specs.EvaluateSpec) -> None:
    """Sets the threads and the device in this process, which TensorFlow takes only before it starts.

    GPU memory is taken as it is needed, so that LoadGen's process has some. With several threads or devices only that
    is done, since every combination has a process of its own.

    Raises:
        DeviceError: there is no such device, or TensorFlow has started with others.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    with contextlib.suppress(RuntimeError, ValueError):  # TensorFlow has started; `sent.Sender` finds out what it holds
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    if _apart(spec):
        return
    (threads,), (device,) = spec.threads, spec.device
    try:
        if threads is not None and tf.config.threading.get_intra_op_parallelism_threads() != threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        if device == "cpu" and tf.config.get_visible_devices("GPU"):
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise DeviceError(
            f"threads: {threads}, device: {device} must be set before TensorFlow is used in this process: "
            f"{error}. Call evaluate in a fresh process, or use tfperf evaluate."
        ) from error
    if device == "gpu" and not gpus:
        raise DeviceError(f"device: gpu needs a GPU, and TensorFlow sees none. {devices.summary()}")
