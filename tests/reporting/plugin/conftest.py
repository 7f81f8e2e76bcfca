"""Run directories as tfperf writes them, and TensorBoard's application with nothing but the tfperf tab around them."""

import base64
import contextlib
import dataclasses
import functools
import os
import threading

import numpy as np
import pytest
import werkzeug.serving
import werkzeug.test
from tensorboard.backend import application
from tensorboard.backend.event_processing import data_ingester, data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin

from tfperf import events, manifest, result
from tfperf.benchmarks import benchmark
from tfperf.reporting import jsonl, serving_board, tensorboard
from tfperf.reporting.plugin.plugin import Plugin

START_S = 1_700_000_000.0
PICTURE = base64.b64decode(  # 6 x 4 pixels
    "iVBORw0KGgoAAAANSUhEUgAAAAYAAAAECAIAAAAiZtkUAAAAFElEQVR4nGM8ISfHgAqYGDAAcUIATU4BDAwQ/fcAAAAASUVORK5CYII="
)
ENVIRONMENT = {
    "command": ["tfperf", "train", "--set", "submission.org=a b"],
    "cpu": "AMD EPYC",
    "memory_bytes": 25276514304,
    "packages": {"tensorflow": "2.21.0"},
}
TRAINED = result.TrainResult(
    benchmark="resnet50_mini",
    division="open",
    valid=True,
    reasons=(),
    closed_eligible=False,
    closed_ineligible_because=("a mini is no MLPerf benchmark",),
    status="success",
    config={"seed": 7, "optimizer": {"sgd": {"momentum": 0.9}}},
    environment=ENVIRONMENT,
    time_to_train_s=41.512345678901234,
    run_s=41.512345678901234,
    quality=result.Quality(metric="accuracy", value=0.8779296875, target=0.75, reached=True),
    epochs=2,
    examples_per_s=294.686478539669,
    measurements=(result.Measurement(name="initialisation", value=11.722884881000937, unit="s"),),
)
MISSED = dataclasses.replace(
    TRAINED,
    valid=False,
    status="aborted",
    reasons=("the target was missed: accuracy 0.5 after 2 epochs, the target is 0.75",),
    time_to_train_s=None,
    quality=result.Quality(metric="accuracy", value=0.5, target=0.75, reached=False),
)
INTERNAL = dataclasses.replace(TRAINED, benchmark="custom", division="internal")
UNTARGETED = dataclasses.replace(MISSED, division="internal", reasons=(result.UNTARGETED_TRIAL,))
SERVED = result.InferResult(
    benchmark="resnet50_mini",
    division="open",
    valid=True,
    reasons=(),
    closed_eligible=False,
    closed_ineligible_because=(),
    status="success",
    config={"scenario": {"server": {"target_qps": 120.0}}},
    environment=ENVIRONMENT,
    scenario="Server",
    metric=result.Measurement(name="completed samples", value=118.53, unit="samples/s"),
    loadgen={
        "effective_target_latency_ns": 15_000_000,
        "effective_target_latency_percentile": 0.99,
        "result_validity": "VALID",
        "result_min_duration_met": True,
    },
    latency_ns={"p50": 2_012_345.0, "p99": 12_512_345.0, "p99_9": 14_512_345.0},
    accuracy=result.Quality(metric="accuracy", value=0.875, target=0.75, reached=True),
    executable="xla-float32",
    batch_sizes=(1, 4),
    candidates=(
        result.Candidate(executable="xla-float32", status="chosen", latency_ns={"1": 1.5e6}),
        result.Candidate(executable="xla-float16", status="unavailable", reason="no GPU is visible here"),
    ),
    percentiles=(result.Percentile(percentile=99, value_ns=12_600_000.0, low_ns=12e6, high_ns=13e6),),
    batches={"1": 3, "4": 1},
    audits={"TEST01": "TEST PASS"},
)
TRIAL = result.SweepTrial(
    name="00",
    status="completed",
    reason="",
    values={"optimizer.sgd.base_learning_rate": 0.0512345678901234, "global_batch_size": 64},
    seed=101,
    objective=31.123456789012345,
    quality=0.8203125,
    time_to_target_s=31.123456789012345,
    examples_per_s=412.5,
    epochs=4,
)
SWEPT = result.SweepResult(
    benchmark="resnet50_mini",
    valid=True,
    reasons=(),
    status="success",
    config={"search": "random", "max_trials": 3, "seed": 7},
    environment=ENVIRONMENT,
    objective="time_to_target",
    direction="min",
    trials=(
        TRIAL,
        dataclasses.replace(
            TRIAL, name="01", objective=24.87654321, quality=0.8125, time_to_target_s=24.87654321, epochs=3
        ),
        dataclasses.replace(
            TRIAL,
            name="02",
            status="failed",
            reason="out of memory",
            values={"optimizer.sgd.base_learning_rate": 0.4, "global_batch_size": 128},
            objective=None,
            quality=None,
            time_to_target_s=None,
            epochs=0,
        ),
    ),
    best="01",
    best_values={"optimizer.sgd.base_learning_rate": 0.0512345678901234, "global_batch_size": 64},
    default_values={"optimizer.sgd.base_learning_rate": 0.1, "global_batch_size": 32},
    closed_rules={"optimizer.sgd.base_learning_rate": "a multiple of 0.001"},
    comparison=result.Comparison(
        default=(30.0, 32.0), best=(24.0, 26.0), improvement=6.0, low=-0.0851, high=12.0851, beyond_noise=False
    ),
    measurements=(result.Measurement(name="sweep", value=181.25, unit="s"),),
    notes=("The trials ran by themselves.",),
)
CURVES = serving_board.ServingCurves(
    latency_ns=np.arange(10_000, 0, -1) * 1500, samples_per_s=np.array([100.0, 120.0]), p99_ns=np.array([5e6, 7e6])
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes run directories below a logdir."""

    logdir: object
    trained = TRAINED
    missed = MISSED
    internal = INTERNAL
    served = SERVED
    swept = SWEPT

    def training(self, name, outcome=TRAINED, *, evaluations=((10.5, 0.5), (41.5, 0.8779296875))):
        """A training run; without an outcome one that goes on."""
        run_dir = self.logdir / name
        run_dir.mkdir(parents=True)
        (run_dir / "spec.yaml").write_text("benchmark: resnet50_mini\n")
        board = tensorboard.TensorBoard(run_dir, metric="accuracy", target=0.75, hparams={"seed": 7})
        sink = events.Fanout([jsonl.JsonLines(run_dir / "events.jsonl"), board])
        division = "open" if outcome is None else outcome.division
        sink.emit(events.Event(key="submission_benchmark", time_s=START_S - 10, value="resnet50_mini"))
        sink.emit(events.Event(key="submission_division", time_s=START_S - 10, value=division))
        target = {"metric": "accuracy"}
        sink.emit(events.Event(key="quality_target", time_s=START_S - 10, value=0.75, metadata=target))
        sink.emit(events.Event(key="run_start", time_s=START_S))
        for epoch, (seconds, value) in enumerate(evaluations, start=1):
            where = {"step": epoch * 10, "epoch_num": epoch}
            sink.emit(events.Event(key="eval_accuracy", time_s=START_S + seconds, value=value, metadata=where))
        if outcome is not None:
            self.finish(run_dir, outcome, board)
        sink.close()
        return run_dir

    def detecting(self, name, *, picture=PICTURE, evaluations=2):
        """A training run that shows what it found."""
        run_dir = self.training(name)
        board = tensorboard.TensorBoard(run_dir, metric="accuracy", target=0.75, hparams={})
        recall = np.linspace(0, 1, 5)
        for step in range(10, 10 * evaluations + 1, 10):
            curves = [
                benchmark.PrecisionCurve(label, 8, recall, np.array([1, 1, 0.5, step / 100, 0]), recall[::-1])
                for label in ("cat", "dog")
            ]
            pictures = [benchmark.Picture(f"{label}.jpg", 6, 4, picture) for label in ("a", "b")]
            board.show(functools.partial(benchmark.Exhibits, tuple(pictures), tuple(curves)), step=step)
            board.flush()
        board.close()
        return run_dir

    def bare(self, name, outcome=SERVED):
        """A run without event files."""
        run_dir = self.logdir / name
        run_dir.mkdir(parents=True)
        self._write(run_dir, outcome)

    def finish(self, run_dir, outcome, board=None):
        """Adds the result."""
        result.write(run_dir / "result.json", outcome)
        if board is not None:
            board.finish(outcome)

    def serving(self, name, outcome=SERVED):
        """A serving run with its event files."""
        run_dir = self.logdir / name
        run_dir.mkdir(parents=True)
        self._write(run_dir, outcome)
        serving_board.write(run_dir, outcome, curves=CURVES)
        return run_dir

    def sweep(self, name):
        """A sweep that has ended, with two of its trials, the second being the best."""
        self.bare(name, SWEPT)
        (self.logdir / name / "sweep.yaml").write_text("base: resnet50-mini\n")
        for trial in ("00", "01"):
            self.training(f"{name}/trials/{trial}", UNTARGETED)

    def _write(self, run_dir, outcome):
        """The result, as old as the events of a training run."""
        result.write(run_dir / "result.json", outcome)
        os.utime(run_dir / "result.json", (START_S, START_S - 10))

    def seal(self, run_dir):
        """Adds the manifest."""
        manifest.write(run_dir, division="open", code_version="0.1.0")


@pytest.fixture
def runs(tmp_path):
    return Writer(logdir=tmp_path)


class Board:
    """TensorBoard's application with the plugin alone."""

    def __init__(self, logdir, **flags):
        multiplexer = plugin_event_multiplexer.EventMultiplexer(
            tensor_size_guidance=data_ingester.DEFAULT_TENSOR_SIZE_GUIDANCE
        )
        if logdir is not None:
            multiplexer.AddRunsFromDirectory(str(logdir))
        multiplexer.Reload()
        provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
        context = base_plugin.TBContext(
            logdir=None if logdir is None else str(logdir), data_provider=provider, flags=flags_of(flags)
        )
        self.plugin = Plugin(context)
        self.application = application.TensorBoardWSGI([self.plugin])
        self._client = werkzeug.test.Client(self.application)

    def get(self, address):
        """The answer below the plugin's address."""
        return self._client.get(f"/data/plugin/tfperf/{address}")

    def runs(self):
        """The list of runs by name."""
        return {run["name"]: run for run in self.get("runs").json["runs"]}

    def run(self, name):
        """All of one run."""
        return self.get(f"run?key={self.runs()[name]['key']}").json

    def manifest(self, name):
        """Whether the files of a run are those it was written with."""
        return self.get(f"manifest?key={self.runs()[name]['key']}").json


def flags_of(named):
    """Flags as TensorBoard has them."""
    return type("Flags", (), {"logdir_spec": "", **named})()


@pytest.fixture
def board():
    return Board


@contextlib.contextmanager
def address_of(application):
    """Serves it on a free port of this machine."""
    server = werkzeug.serving.make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(werkzeug.serving.WSGIRequestHandler):
    """Writes no line for each request."""

    def log_request(self, code="-", size="-"):
        """Nothing."""


@pytest.fixture
def serve():
    return address_of
