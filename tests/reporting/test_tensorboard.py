"""Tests of TensorBoard's files, read by TensorBoard itself."""

import dataclasses
import math
import resource
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider, event_accumulator, plugin_event_multiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
from tensorboard.util import tensor_util

from tfperf import events, result
from tfperf.benchmarks import benchmark
from tfperf.reporting import tensorboard

START_S = 1_700_000_000.0
VALID = result.TrainResult(
    benchmark="resnet50_mini",
    division="open",
    valid=True,
    reasons=(),
    closed_eligible=False,
    closed_ineligible_because=("a mini | no MLPerf benchmark",),
    status="success",
    config={},
    environment={},
    time_to_train_s=41.5,
    run_s=41.5,
    quality=result.Quality(metric="accuracy", value=0.875, target=0.75, reached=True),
    epochs=2,
    examples_per_s=100.5,
)
INVALID = dataclasses.replace(
    VALID,
    valid=False,
    status="aborted",
    reasons=("the target was missed: accuracy 0.5 after 2 epochs, the target is 0.75",),
    time_to_train_s=None,
    quality=result.Quality(metric="accuracy", value=0.5, target=0.75, reached=False),
)


def history():
    yield events.Event(key="init_start", time_s=START_S - 9)
    yield events.Event(key="run_start", time_s=START_S)
    for epoch, accuracy in ((1, 0.5), (2, 0.875)):
        where = {"step": epoch * 10, "epoch_num": epoch}
        stats = {
            "loss": 2.0 / epoch,
            "accuracy": accuracy / 2,
            "learning_rate": 0.25,
            "throughput": None if epoch == 1 else 100.5,
            "step_time_ms": 8.0,
        }
        yield events.Event(key="tracked_stats", time_s=START_S + epoch, value=stats, metadata=where)
        yield events.Event(key="eval_accuracy", time_s=START_S + epoch + 0.5, value=accuracy, metadata=where)
        validation = {"val_loss": 1.5 / epoch, "val_accuracy": accuracy}
        yield events.Event(key="tracked_stats", time_s=START_S + epoch + 0.5, value=validation, metadata=where)
    yield events.Event(key="run_stop", time_s=START_S + 3, metadata={"status": "success"})


def sink(run_dir, hparams=None):
    return tensorboard.TensorBoard(run_dir, metric="accuracy", target=0.75, hparams=hparams or {})


def written(run_dir, outcome=VALID, hparams=None):
    board = sink(run_dir, hparams)
    for event in history():
        board.emit(event)
    board.finish(outcome)
    board.close()
    return run_dir


def accumulated(directory):
    accumulator = event_accumulator.EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def curves(directory):
    accumulator = accumulated(directory)
    return {
        tag: [(point.wall_time, point.step, point.value) for point in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_train_and_validation_share_tags_over_steps_and_real_time(tmp_path):
    written(tmp_path)

    assert curves(tmp_path / "train") == {
        "tfperf/loss": [(START_S + 1, 10, 2.0), (START_S + 2, 20, 1.0)],
        "tfperf/accuracy": [(START_S + 1, 10, 0.25), (START_S + 2, 20, 0.4375)],
        "tfperf/learning_rate": [(START_S + 1, 10, 0.25), (START_S + 2, 20, 0.25)],
        "tfperf/examples_per_s": [(START_S + 2, 20, 100.5)],
        "tfperf/step_time_ms": [(START_S + 1, 10, 8.0), (START_S + 2, 20, 8.0)],
    }
    assert curves(tmp_path / "validation") == {
        "tfperf/loss": [(START_S + 1.5, 10, 1.5), (START_S + 2.5, 20, 0.75)],
        "tfperf/accuracy": [(START_S + 1.5, 10, 0.5), (START_S + 2.5, 20, 0.875)],
    }


def test_the_target_is_a_line_in_the_chart_of_the_quality_metric(tmp_path):
    written(tmp_path)

    assert curves(tmp_path / "target") == {
        "tfperf/accuracy": [(START_S, 0, 0.75), (START_S + 1.5, 10, 0.75), (START_S + 2.5, 20, 0.75)]
    }


def test_curves_can_be_watched_during_the_run(tmp_path):
    board = sink(tmp_path)
    for event in history():
        board.emit(event)
    board.flush()
    seen = curves(tmp_path / "train")
    board.close()

    assert [step for _, step, _ in seen["tfperf/loss"]] == [10, 20]


def test_a_loss_that_is_not_a_number_is_shown_as_such(tmp_path):
    board = sink(tmp_path)
    board.emit(events.Event(key="tracked_stats", value={"loss": math.nan}, metadata={"step": 1}))
    board.close()

    assert math.isnan(curves(tmp_path / "train")["tfperf/loss"][0][2])


def test_a_valid_result_is_a_text_and_a_time_to_train(tmp_path):
    accumulator = accumulated(written(tmp_path))

    assert [(point.step, point.value) for point in accumulator.Scalars("tfperf/time_to_train_s")] == [(20, 41.5)]
    (tensor,) = accumulator.Tensors("tfperf/result")
    assert tensor.tensor_proto.string_val[0].decode() == (
        "**VALID open run of resnet50_mini, not verified by MLCommons**\n"
        "\n"
        "\n"
        "| measured | |\n"
        "|---|---|\n"
        "| time to train | 41.50 s (0.69 minutes) |\n"
        "| accuracy | 0.8750 (target 0.7500): reached |\n"
        "| epochs | 2 |\n"
        "| examples/s | 100.5 |\n"
        "| division | open |\n"
        "| closed-eligible | no<br>- a mini \\| no MLPerf benchmark |\n"
    )


def test_an_invalid_result_is_a_text_with_its_reasons_and_no_time_to_train(tmp_path):
    accumulator = accumulated(written(tmp_path, INVALID))

    assert accumulator.Tags()["scalars"] == []
    (tensor,) = accumulator.Tensors("tfperf/result")
    assert tensor.tensor_proto.string_val[0].decode().splitlines()[:4] == [
        "**INVALID open run of resnet50_mini, target missed, not verified by MLCommons**",
        "",
        "- the target was missed: accuracy 0.5 after 2 epochs, the target is 0.75",
        "",
    ]


def hparams_table(logdir):
    """What TensorBoard's HParams dashboard answers for `logdir`: {session: (status, hparams, metrics)}."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    any_status = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING, api_pb2.STATUS_UNKNOWN]
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=10, allowed_statuses=any_status)
    answer = list_session_groups.Handler(RequestContext(), context, "experiment", request).run()
    return {group.name: (_status(group), _hparams(group), _metrics(group)) for group in answer.session_groups}


def _status(group):
    return api_pb2.Status.Name(group.sessions[0].status)


def _hparams(group):
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}


def _metrics(group):
    return {(metric.name.group, metric.name.tag): metric.value for metric in group.metric_values}


def test_the_hparams_dashboard_compares_runs_of_different_optimizers(tmp_path):
    written(tmp_path / "sgd", hparams={"optimizer.sgd.momentum": 0.5, "jit": True, "seed": 7})
    written(tmp_path / "lars", INVALID, hparams={"optimizer.lars.epsilon": 0.25, "data": "shapes"})

    found = hparams_table(tmp_path)

    assert found["sgd"][:2] == ("STATUS_SUCCESS", {"optimizer.sgd.momentum": 0.5, "jit": True, "seed": 7.0})
    assert found["lars"][:2] == ("STATUS_FAILURE", {"optimizer.lars.epsilon": 0.25, "data": "shapes"})
    assert found["sgd"][2][("validation", "tfperf/accuracy")] == 0.875
    assert found["sgd"][2][("", "tfperf/time_to_train_s")] == 41.5
    assert ("", "tfperf/time_to_train_s") not in found["lars"][2]


def test_the_hparams_dashboard_does_not_call_a_killed_run_a_success(tmp_path):
    board = sink(tmp_path / "killed", {"seed": 1})
    board.close()

    assert hparams_table(tmp_path)["killed"][0] == "STATUS_UNKNOWN"


def test_a_nested_config_becomes_dotted_names():
    config = {"division": "open", "optimizer": {"sgd": {"momentum": 0.9, "decay_steps": None}}, "crops": [1, 2]}

    assert tensorboard.flat(config) == {"division": "open", "optimizer.sgd.momentum": 0.9, "crops": "[1, 2]"}


def test_a_disk_that_fills_up_is_an_error_and_the_sink_still_closes(tmp_path):
    board = sink(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        board.emit(events.Event(key="run_start"))
        with pytest.raises(OSError):
            board.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    board.close()


def test_writing_needs_no_tensorflow(tmp_path):
    program = (
        "import pathlib, sys\n"
        "from tfperf import events\n"
        "from tfperf.reporting import tensorboard\n"
        "board = tensorboard.TensorBoard(pathlib.Path(sys.argv[1]), metric='accuracy', target=0.5, hparams={'a': 1})\n"
        "board.emit(events.Event(key='run_start'))\n"
        "board.close()\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )

    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 0


def exhibits(name="a.jpg"):
    image = benchmark.Picture(name, 6, 4, b"\x89PNG\r\n\x1a\n of " + name.encode())
    recall = np.linspace(0, 1, 5)
    precision, score = np.array([1, 1, 0.5, 0.5, 0]), np.array([0.9, 0.8, 0.4, 0.3, 0])
    return benchmark.Exhibits((image,), (benchmark.PrecisionCurve("cat", 8, recall, precision, score),))


def shown(tmp_path):
    board = sink(tmp_path)
    board.show(exhibits, step=10)
    board.show(benchmark.Exhibits, step=15)
    board.show(exhibits, step=20)
    board.close()
    return accumulated(tmp_path / "validation")


def test_pictures_of_an_evaluation_are_images_over_the_steps(tmp_path):
    accumulator = shown(tmp_path)
    assert accumulator.Tags()["images"] == ["tfperf/detections/a.jpg"]
    images = accumulator.Images("tfperf/detections/a.jpg")
    assert [(image.step, image.width, image.height) for image in images] == [(10, 6, 4), (20, 6, 4)]
    assert images[0].encoded_image_string == exhibits().pictures[0].encoded


def test_precision_by_recall_is_what_the_dashboard_of_such_curves_reads(tmp_path):
    accumulator = shown(tmp_path)
    tag = "tfperf/precision_recall/cat"
    assert accumulator.PluginTagToContent("pr_curves").keys() == {tag}
    first, second = accumulator.Tensors(tag)
    assert (first.step, second.step) == (10, 20)
    found, wrong, spared, missed, precision, recall = tensor_util.make_ndarray(first.tensor_proto).tolist()
    assert recall == [1, 0.75, 0.5, 0.25, 0]
    assert precision == [0, 0.5, 0.5, 1, 1]
    assert found == [8, 6, 4, 2, 0]
    assert missed == [0, 2, 4, 6, 8]
    assert wrong == [0, 6, 4, 0, 0]
    assert spared == [0] * 5


def test_a_picture_that_cannot_be_made_fails_the_run(tmp_path):
    def broken():
        raise ValueError("no pixels")

    board = sink(tmp_path)
    board.show(broken, step=10)
    with pytest.raises(ValueError, match="no pixels"):
        board.close()
