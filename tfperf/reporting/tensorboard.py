"""A training run in TensorBoard: curves with the target, hyper-parameters, and the result as text."""

from __future__ import annotations

import collections
import itertools
import os
import pathlib
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2, types_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.pr_curve import metadata as pr_curve_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from tfperf import events, result
from tfperf.benchmarks.benchmark import Exhibits, Picture, PrecisionCurve
from tfperf.reporting import table

Scalar = str | int | float | bool

PREFIX = "tfperf"
RESULT_TAG = f"{PREFIX}/result"
TIME_TO_TRAIN_TAG = f"{PREFIX}/time_to_train_s"
PICTURES, CURVES = f"{PREFIX}/detections/", f"{PREFIX}/precision_recall/"

_RGB = 3  # channels
_RUNS = ("", "train", "validation", "target")
_NAMES = {"throughput": "examples_per_s"}


class Point(NamedTuple):
    """One point of a curve: `run` is the directory, `tag` the chart."""

    run: str
    tag: str
    step: int
    value: float


class TensorBoard:
    """A sink that writes event files below the run's directory.

    `train/` and `validation/` hold the curves under the same tags, so that they share a chart; `target/` holds the
    target under the tag of the quality metric, from step 0 to the latest evaluation. The directory itself holds the
    hyper-parameters, the time to train and the result. The x-axis is the optimizer step.

    A separate thread encodes and writes, so that training does not wait for the disk; the next call raises a failure to
    write. Nothing here needs TensorFlow: `tf.summary.scalar` would hold up the training thread for 300 us per value.

    Args:
        run_dir: the directory in which the log directories are created.
        metric: the name of the quality metric.
        target: the value that it has to reach; None draws no target.
        hparams: what the HParams dashboard shows; see `flat`.
    """

    def __init__(
        self, run_dir: pathlib.Path, *, metric: str, target: float | None, hparams: Mapping[str, Scalar]
    ) -> None:
        self._metric = metric
        self._target = target
        self._last_step = 0
        self._files = {run: EventFile(run_dir / run) for run in _RUNS}
        self._writer = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="tfperf tensorboard")
        self._pending: collections.deque[futures.Future[None]] = collections.deque()
        started_s = time.time()
        self._files[""].write([session_start(hparams, started_s=started_s)], step=0, time_s=started_s)

    def emit(self, event: events.Event) -> None:
        """Queues the points that the event adds to the curves."""
        added = points(event, metric=self._metric, target=self._target)
        if added:
            self._last_step = max(point.step for point in added)
            self._raise_failures()
            self._pending.append(self._writer.submit(self._write_points, added, event.time_s))

    def show(self, exhibits: Callable[[], Exhibits], *, step: int) -> None:
        """Adds what there is to see of an evaluation. It is made in the thread that writes.

        Args:
            exhibits: makes it.
            step: the optimizer step of the evaluation.
        """
        self._raise_failures()
        self._pending.append(self._writer.submit(self._write_exhibits, exhibits, step, time.time()))

    def finish(self, outcome: result.TrainResult) -> None:
        """Adds the result and ends the session in the HParams dashboard. Called once, before `close`."""
        self.flush()
        now_s = time.time()
        summaries = [text(RESULT_TAG, markdown(outcome)), session_end(success=outcome.valid, ended_s=now_s)]
        if outcome.valid and outcome.time_to_train_s is not None:
            summaries.append(scalar(TIME_TO_TRAIN_TAG, outcome.time_to_train_s))
        self._files[""].write(summaries, step=self._last_step, time_s=now_s)

    def flush(self) -> None:
        """Waits until the operating system has everything that was emitted."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Flushes, ends the thread and closes the files."""
        try:
            self.flush()
        finally:
            self._writer.shutdown()
            for file in self._files.values():
                file.close()

    def _write_points(self, added: list[Point], time_s: float) -> None:
        for (run, step), together in itertools.groupby(added, key=lambda point: (point.run, point.step)):
            values = [scalar(point.tag, point.value) for point in together]
            self._files[run].write(values, step=step, time_s=time_s)

    def _write_exhibits(self, make: Callable[[], Exhibits], step: int, time_s: float) -> None:
        exhibits = make()
        values = [picture(each) for each in exhibits.pictures] + [precision_curve(each) for each in exhibits.curves]
        if values:
            self._files["validation"].write(values, step=step, time_s=time_s)

    def _raise_failures(self) -> None:
        while self._pending and self._pending[0].done():
            self._pending.popleft().result()


def points(event: events.Event, *, metric: str, target: float | None) -> list[Point]:
    """The points that `event` adds to the curves of a run that trains until `metric` reaches `target`."""
    match event.key:
        case "run_start":
            return [] if target is None else [Point("target", tag(metric), 0, target)]
        case "eval_accuracy":
            step = event.metadata["step"]
            goal = [] if target is None else [Point("target", tag(metric), step, target)]
            return [Point("validation", tag(metric), step, event.value), *goal]
        case "tracked_stats":
            named = [(_curve(name), value) for name, value in event.value.items() if value is not None]
            # The quality metric is on its curve already, from eval_accuracy.
            drawn = [(curve, value) for curve, value in named if curve != ("validation", tag(metric))]
            return [Point(run, name, event.metadata["step"], value) for (run, name), value in drawn]
    return []


def tag(name: str) -> str:
    """The chart for `name`. The prefix keeps it apart from the charts of Keras' TensorBoard callback."""
    return f"{PREFIX}/{name}"


def flat(config: Mapping[str, Any], *, prefix: str = "") -> dict[str, Scalar]:
    """A nested config as dotted names and scalars. None is left out, and a list becomes text."""
    named: dict[str, Scalar] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            named.update(flat(value, prefix=f"{name}."))
        elif value is not None:
            named[name] = value if isinstance(value, (str, int, float)) else str(value)
    return named


def markdown(outcome: result.TrainResult) -> str:
    """The final table for the text dashboard: the verdict first, then its reasons and the numbers."""
    reasons = [f"- {reason}" for reason in table.invalid_because(outcome)]
    rows = [f"| {cell(label)} | {cell(value)} |" for label, value in table.train_facts(outcome)]
    return "\n".join([f"**{table.verdict(outcome)}**", "", *reasons, "", "| measured | |", "|---|---|", *rows, ""])


def scalar(tag: str, value: float) -> summary_pb2.Summary.Value:
    """One point of a curve."""
    return summary_pb2.Summary.Value(tag=tag, simple_value=value)


def text(tag: str, content: str) -> summary_pb2.Summary.Value:
    """A text in markdown."""
    return summary_pb2.Summary.Value(
        tag=tag,
        tensor=tensor_util.make_tensor_proto([content.encode()], dtype=types_pb2.DT_STRING),
        metadata=text_metadata.create_summary_metadata(display_name="", description=""),
    )


def picture(shown: Picture) -> summary_pb2.Summary.Value:
    """A picture for the Images dashboard."""
    image = summary_pb2.Summary.Image(
        height=shown.height, width=shown.width, colorspace=_RGB, encoded_image_string=shown.encoded
    )
    return summary_pb2.Summary.Value(tag=f"{PICTURES}{shown.name}", image=image)


def precision_curve(curve: PrecisionCurve) -> summary_pb2.Summary.Value:
    """A curve for the PR Curves dashboard, one column for each recall, from the highest to the lowest.

    The dashboard expects the counts at ascending thresholds. What a detector left out rightly can't be counted: that
    row is 0.
    """
    found = curve.recall * curve.total
    wrong = np.divide(
        found * (1 - curve.precision), curve.precision, out=np.zeros_like(found), where=curve.precision > 0
    )
    none = np.zeros_like(found)
    rows = np.stack([found, wrong, none, curve.total - found, curve.precision, curve.recall])
    return summary_pb2.Summary.Value(
        tag=f"{CURVES}{curve.name}",
        tensor=tensor_util.make_tensor_proto(rows[:, ::-1].astype(np.float32)),
        metadata=pr_curve_metadata.create_summary_metadata(
            display_name=curve.name, description="", num_thresholds=rows.shape[1]
        ),
    )


def session_start(hparams: Mapping[str, Scalar], *, started_s: float) -> summary_pb2.Summary.Value:
    """The row of this run in the HParams dashboard.

    There is deliberately no experiment record: TensorBoard would take the columns of all runs from the first one found,
    while without one it collects the columns from the runs.
    """
    session = plugin_data_pb2.SessionStartInfo(start_time_secs=started_s)
    for name, value in hparams.items():
        if isinstance(value, bool):
            session.hparams[name].bool_value = value
        elif isinstance(value, str):
            session.hparams[name].string_value = value
        else:
            session.hparams[name].number_value = value
    data = plugin_data_pb2.HParamsPluginData(session_start_info=session)
    return _hparams_summary(hparams_metadata.SESSION_START_INFO_TAG, data)


def session_end(*, success: bool, ended_s: float) -> summary_pb2.Summary.Value:
    """The end of the run in the HParams dashboard."""
    status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
    session = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended_s)
    data = plugin_data_pb2.HParamsPluginData(session_end_info=session)
    return _hparams_summary(hparams_metadata.SESSION_END_INFO_TAG, data)


class EventFile:
    """One file of TensorBoard records. Each reaches the operating system as soon as it is written."""

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._file = (directory / name).open("xb")
        self._records = RecordWriter(self._file)
        self._append(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write(self, values: Sequence[summary_pb2.Summary.Value], *, step: int, time_s: float) -> None:
        """Appends one record."""
        self._append(event_pb2.Event(wall_time=time_s, step=step, summary=summary_pb2.Summary(value=values)))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _append(self, event: event_pb2.Event) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()


def _curve(name: str) -> tuple[str, str]:
    run, name = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
    return run, tag(_NAMES.get(name, name))


def cell(content: str) -> str:
    """A text as one cell of a markdown table."""
    return content.replace("|", "\\|").replace("\n", "<br>")


def _hparams_summary(tag: str, data: plugin_data_pb2.HParamsPluginData) -> summary_pb2.Summary.Value:
    return summary_pb2.Summary.Value(
        tag=tag, tensor=hparams_metadata.NULL_TENSOR, metadata=hparams_metadata.create_summary_metadata(data)
    )
