"""`tfperf sweep` over a measurement: an interruption, trials that can't be had, and what all of it leaves."""

import json
import pathlib
import shutil

import pytest

from tests.cli.sweeping import interrupt, passes, tfperf
from tfperf import benchmarks, config, manifest, result, spec
from tfperf.tuning import trial
from tfperf.tuning.comparison import FOLDER

pytestmark = pytest.mark.timeout(900)  # of the sweep that the slow tests share

SWEEP = """
base:
  benchmark: resnet50_mini
  division: open
  scenario: {offline: {}}
  data: {source: {shapes: {train_examples: 64, eval_examples: 40}}}
  model: {image_size: 32, blocks: [1], width: 4}
  executable: litert-float32
  min_duration_s: 1
  min_queries: 64
  quality_target: 0
space:
  batch_sizes: {choice: [[8]]}
  executable: {choice: [litert-float32, xla-float16]}
objective: throughput
search: grid
max_trials: 2
repeats: 2
"""
# What LoadGen and numpy write, and TensorBoard's curves: nothing of them can be stamped.
RAW = ("mlperf_log_", "recording.npz", "user.conf", "child.log", "val_map.txt", "accuracy.txt", "events.out.tfevents")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, object]]:
    """A sweep that was interrupted in its first trial and went on: its project and its result."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "mine.yaml").write_text(SWEEP, encoding="utf-8")
    loaded = config.load_sweep(str(folder / "mine.yaml"), task_of=benchmarks.task)
    benchmarks.task("resnet50_mini", "infer").build_model(loaded.base.model).save(folder / "model.keras")
    arguments = (
        *("sweep", f"--config={folder / 'mine.yaml'}", f"--weights={folder / 'model.keras'}", "--format=json"),
        *(f"--data_dir={folder / 'data'}", f"--output_dir={folder}"),
    )
    project = folder / "sweeps" / "mine"
    interrupt(arguments, project, when=lambda: len(list(project.glob("trials/*/*/performance/child.log"))) > 0)
    done = tfperf(*arguments)
    assert done.returncode == 0, done.stderr
    return project, json.loads(done.stdout)


@pytest.mark.slow
def test_a_trial_that_can_not_run_fails_with_its_reason_and_the_sweep_continues(
    swept: tuple[pathlib.Path, dict[str, object]],
) -> None:
    outcome = result.read(swept[0] / "result.json")
    assert isinstance(outcome, result.SweepResult)
    measured, refused = outcome.trials
    assert measured.values == {"batch_sizes": [8], "executable": "litert-float32"}
    assert (measured.status, measured.executable, measured.reason) == ("completed", "litert-float32", "")
    assert None not in (measured.objective, measured.quality)
    assert refused.values == {"batch_sizes": [8], "executable": "xla-float16"}
    assert (refused.status, refused.objective) == ("failed", None)
    assert "float16 is computed by GPUs" in refused.reason


@pytest.mark.slow
def test_the_interrupted_trial_was_measured_again(swept: tuple[pathlib.Path, dict[str, object]]) -> None:
    assert len(list((swept[0] / "trials").glob("*-cut-off-1"))) == 1
    assert len(trial.read_all(swept[0])) == 2


@pytest.mark.slow
def test_json_is_the_result_and_the_best_is_compared_with_the_default(
    swept: tuple[pathlib.Path, dict[str, object]],
) -> None:
    project, printed = swept
    assert printed.pop("run_dir", str(project)) == str(project)
    assert printed == json.loads((project / "result.json").read_text(encoding="utf-8"))
    outcome = result.read(project / "result.json")
    assert isinstance(outcome, result.SweepResult)
    assert (outcome.kind, outcome.division, outcome.objective, outcome.direction) == (
        *("sweep", "internal", "throughput"),
        "max",
    )
    assert outcome.default_values == {"batch_sizes": None, "executable": "litert-float32"}
    assert outcome.comparison is not None
    assert outcome.comparison.improvement is not None
    assert manifest.differences(project) == ()


@pytest.mark.slow
def test_the_best_and_the_default_are_measured_alternately(swept: tuple[pathlib.Path, dict[str, object]]) -> None:
    runs = {
        (name, each.name): each.started_s
        for name in ("default", "best")
        for each in trial.read_folder(swept[0] / FOLDER / name)
    }
    assert sorted(runs, key=lambda run: runs[run]) == [
        *(("default", "0"), ("best", "0")),
        *(("default", "1"), ("best", "1")),
    ]


@pytest.mark.slow
def test_the_best_config_is_one_that_is_measured_in_the_open_division(
    swept: tuple[pathlib.Path, dict[str, object]],
) -> None:
    project, folder = swept[0], swept[0].parent.parent
    path = project / "best.yaml"
    loaded = config.load_inference(str(path), task_of=benchmarks.task)
    assert (loaded.division, loaded.executable) == (spec.Division.OPEN, "litert-float32")
    first, *head = path.read_text(encoding="utf-8").splitlines()
    assert first == f"# tfperf infer --config {path} --weights {folder / 'model.keras'}"
    assert head[0].startswith("# Found by an internal sweep")
    assert "Improvement of throughput (samples/s) over 2 new runs" in "\n".join(head)
    measured = tfperf(*first.split()[2:], f"--data_dir={folder / 'data'}", f"--output_dir={folder / 'runs'}")
    assert measured.returncode == 0, measured.stderr


@pytest.mark.slow
def test_every_file_says_internal_or_is_bound_to_one_that_does(
    swept: tuple[pathlib.Path, dict[str, object]],
) -> None:
    files = [path for path in swept[0].rglob("*") if path.is_file()]
    silent = [path for path in files if b"internal" not in path.read_bytes()]
    assert [path for path in silent if not path.name.startswith(RAW)] == []
    of_trials = [path.parent for path in swept[0].glob("*/*/*/manifest.json")]
    assert of_trials
    for path in [*(swept[0] / "trials").iterdir(), *of_trials]:
        assert not (path / manifest.NAME).exists() or manifest.differences(path) == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mllog.txt", "result_0.txt", "anything.log"])
def test_nothing_of_a_sweep_passes_the_check_whatever_it_is_called(
    name: str, swept: tuple[pathlib.Path, dict[str, object]], tmp_path: pathlib.Path
) -> None:
    assert not passes(swept[0])
    (log, *_) = swept[0].glob("trials/*/*/performance/mlperf_log_detail.txt")
    copied = shutil.copytree(log.parent.parent, tmp_path / "run")
    assert not passes(copied)
    (tmp_path / name).write_bytes(log.read_bytes())
    assert not passes(tmp_path / name)
    assert not passes(tmp_path)
    checked = tfperf("check", str(copied))
    assert (checked.returncode, checked.stdout.startswith("NO RESULT: ")) == (6, True)


def test_a_dry_run_tells_what_would_be_tried() -> None:
    done = tfperf("sweep", "--config=sweep-resnet50-mini-offline", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "Would try at most 8 trials of resnet50_mini for throughput; internal, not a result.\nNeeds: The embedded data"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "tfperf sweep: --weights is missing. Pass a training run directory"),
        (
            ("--weights=model.keras", "--workers=2"),
            "tfperf sweep: --workers must be 1 for a measurement, got 2: trials",
        ),
        (
            ("--config=sweep-resnet50-mini-lr", "--weights=model.keras"),
            "tfperf sweep: --weights and --trust_model are for a sweep over a measurement. This sweep trains",
        ),
        (("--set=space={data.skip_corrupt: {choice: [1]}}",), "it can't be varied, the rules fix the data"),
        (("--set=objective=quality",), "objective must be throughput for a measurement in Offline, got 'quality'."),
    ],
)
def test_what_can_not_be_swept_is_refused_with_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: pathlib.Path
) -> None:
    done = tfperf("sweep", "--config=sweep-resnet50-mini-offline", f"--output_dir={tmp_path}", *arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not list(tmp_path.iterdir())
