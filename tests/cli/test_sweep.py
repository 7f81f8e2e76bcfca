"""`tfperf sweep` as a user meets it: two workers, trials that fail, an interruption, and what all of it leaves."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.cli.sweeping import TESTS, environment, interrupt, passes, tfperf
from tfperf import benchmarks, config, manifest, result, spec

pytestmark = pytest.mark.timeout(900)  # of the sweep that the slow tests share

# The log of a training run by the rules has lines with this.
TOKEN = b":::MLLOG"

SWEEP = """
base:
  benchmark: tuning.points
  division: open
  global_batch_size: 32
  max_epochs: 3
  optimizer: {sgd: {base_learning_rate: 0.001}}
  data: {source: {drawn: {}}}
space:
  optimizer.sgd.base_learning_rate: {choice: [0.3, 1.0e+30]}
  model.trouble: {choice: [none, memory, killed]}
objective: quality
search: grid
max_trials: 10
repeats: 2
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, object]]:
    """A sweep by two workers that was interrupted in its first trials and went on: its project and its result."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "mine.yaml").write_text(SWEEP, encoding="utf-8")
    arguments = ("sweep", f"--config={folder / 'mine.yaml'}", f"--output_dir={folder}", "--workers=2", "--format=json")
    project = folder / "sweeps" / "mine"
    interrupt(arguments, project, when=lambda: len(list((project / "trials").glob("*/events.jsonl"))) > 0)
    done = tfperf(*arguments)
    assert done.returncode == 0, done.stderr
    return project, json.loads(done.stdout)


@pytest.mark.slow
def test_a_failed_trial_is_recorded_with_its_reason_and_the_sweep_continues(
    swept: tuple[pathlib.Path, dict[str, object]],
) -> None:
    outcome = result.read(swept[0] / "result.json")
    assert isinstance(outcome, result.SweepResult)
    found = {tuple(trial.values.values()): (trial.status, trial.reason) for trial in outcome.trials}
    killed = ("failed", "the trial's process was killed (SIGKILL), probably out of memory")
    assert len(outcome.trials) == 6
    assert found[0.3, "none"] == ("completed", "")
    assert found[0.3, "memory"] == found[1e30, "memory"] == ("failed", "out of memory: no room for 4 TiB")
    assert found[0.3, "killed"] == found[1e30, "killed"] == killed
    assert found[1e30, "none"][1].startswith("The loss of step ")
    assert len({trial.seed for trial in outcome.trials}) == 6


@pytest.mark.slow
def test_both_workers_took_part(swept: tuple[pathlib.Path, dict[str, object]]) -> None:
    names = {path.name.partition("-")[0] for path in swept[0].glob("*.log")}
    assert names == {"chief", "worker0", "worker1"}
    assert {path.name for path in (swept[0] / "keras_tuner").glob("*.json")} >= {"oracle.json", "chief.json"}


@pytest.mark.slow
def test_json_is_the_result_and_the_best_is_compared_with_the_default(
    swept: tuple[pathlib.Path, dict[str, object]],
) -> None:
    project, printed = swept
    assert printed.pop("run_dir", str(project)) == str(project)
    assert printed == json.loads((project / "result.json").read_text(encoding="utf-8"))
    outcome = result.read(project / "result.json")
    assert isinstance(outcome, result.SweepResult)
    assert (outcome.kind, outcome.division, outcome.closed_eligible) == ("sweep", "internal", False)
    assert outcome.best_values == {"optimizer.sgd.base_learning_rate": 0.3, "model.trouble": "none"}
    assert outcome.comparison is not None
    assert len(outcome.comparison.best) == len(outcome.comparison.default) == 2
    assert outcome.comparison.improvement is not None
    assert manifest.differences(project) == ()


@pytest.mark.slow
def test_the_best_config_is_one_that_trains_in_the_open_division(
    swept: tuple[pathlib.Path, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    path = swept[0] / "best.yaml"
    loaded = config.load(str(path), task_of=benchmarks.task)
    assert (loaded.division, loaded.optimizer) == (spec.Division.OPEN, spec.Sgd(base_learning_rate=0.3))
    head = path.read_text(encoding="utf-8")
    assert "Found by an internal sweep" in head
    assert "Improvement of quality over 2 new seeds" in head
    trained = tfperf("train", f"--config={path}", f"--output_dir={swept[0].parent.parent / 'runs'}")
    assert trained.returncode in (0, 4), trained.stderr


@pytest.mark.slow
def test_every_file_says_internal_and_none_is_a_log(swept: tuple[pathlib.Path, dict[str, object]]) -> None:
    files = [path for path in swept[0].rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if b"internal" not in path.read_bytes() and not _is_curve(path)] == []
    assert [path for path in files if TOKEN in path.read_bytes()] == []


def _is_curve(path: pathlib.Path) -> bool:
    """The curves of a trial lie in folders below the file of TensorBoard that says what it is of."""
    return path.parent.name in ("train", "validation", "target")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mllog.txt", "result_0.txt", "anything.log"])
def test_nothing_of_a_sweep_passes_the_check_whatever_it_is_called(
    name: str, swept: tuple[pathlib.Path, dict[str, object]], tmp_path: pathlib.Path
) -> None:
    assert not passes(swept[0])
    for source in ("trials/0/events.jsonl", "trials/0/trial.json", "result.json", "best.yaml"):
        found = next(swept[0].glob(source.replace("/0/", "/*/")))
        (tmp_path / name).write_bytes(found.read_bytes())
        assert not passes(tmp_path)
        assert not passes(tmp_path / name)
    assert not any(passes(path) for path in (swept[0] / "trials").iterdir())


@pytest.mark.slow
def test_the_hparams_dashboard_shows_all_trials(swept: tuple[pathlib.Path, dict[str, object]]) -> None:
    found = sessions(swept[0] / "trials")
    trained = [hparams for hparams, metrics in found if metrics]
    assert len(found) >= 4, "those that were killed have no end, and are there"
    assert {"optimizer.sgd.base_learning_rate", "model.trouble", "division", "seed"} <= set(trained[0])


def sessions(logdir: pathlib.Path) -> Sequence[tuple[dict[str, object], int]]:
    """(hyper-parameters, number of metrics) of each row of TensorBoard's HParams dashboard."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    states = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING, api_pb2.STATUS_UNKNOWN]
    request = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=20, allowed_statuses=states)
    answer = list_session_groups.Handler(RequestContext(), context, "experiment", request).run()
    return [(dict(group.hparams), len(group.metric_values)) for group in answer.session_groups]


def test_no_module_of_a_sweep_loads_what_writes_mllog_lines() -> None:
    modules = [f"tfperf.tuning.{path.stem}" for path in (TESTS.parent / "tfperf" / "tuning").glob("[a-z]*.py")]
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print([name for name in sys.modules if name.startswith(('mlperf_logging', 'tfperf.compliance'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_a_dry_run_tells_what_would_be_tried() -> None:
    done = tfperf("sweep", "--config=sweep-resnet50-mini-lr", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "Would try at most 12 trials of resnet50_mini for quality; internal, not a result.\nNeeds: The embedded data"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set=division=closed",), "division must be internal, which may be left out"),
        (("--set=space={quality_target: {choice: [0.5]}}",), "it can't be varied, the rules fix the target"),
        (("--project=../mine",), "--project must be a name without a path, got '../mine'"),
        (("trials",), "sweep takes no arguments, got trials"),
    ],
)
def test_what_can_not_be_swept_is_refused_with_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: pathlib.Path
) -> None:
    done = tfperf("sweep", "--config=sweep-resnet50-mini-lr", f"--output_dir={tmp_path}", *arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.iterdir())
