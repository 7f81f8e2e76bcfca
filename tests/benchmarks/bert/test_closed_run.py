"""A run with all of BERT's closed keys, on a network and a text that train in seconds: what MLCommons' checkers say."""

import dataclasses
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tfperf import benchmarks, config, result
from tfperf import spec as specs
from tfperf.benchmarks import bert
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.benchmarks.bert import rules
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.prepare import text
from tfperf.compliance import checker, submission
from tfperf.run.train import train
from tfperf.system import caches
from tfperf.workspace import Workspace

RUNS, BATCH, EVERY, STEPS = 10, 16, 640, 1200
LENGTH, PREDICTIONS = 16, 2
# Rules that no text of a few sentences can keep; the others hold.
OF_SIZE = ("evaluation.every_samples", "data.source.tfrecords", "model.checkpoint")
SENTENCES = (
    "the red fox runs over the green hill at night .",
    "a small boat sails down the wide river to town .",
    "seven old men sing songs about the cold north sea .",
)


def kept(spec: specs.TrainSpec) -> Iterator[str]:
    return (broken for broken in rules.training(spec) if not broken.startswith(OF_SIZE))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("sentences")
    documents = "\n\n".join("\n".join(SENTENCES) for _ in range(40))
    (folder / "own").mkdir()
    (folder / "own" / "one.txt").write_text(documents, encoding="utf-8")
    request = text.TextRequest(
        source=folder / "own",
        data_dir=folder / "records",
        vocabulary_size=120,
        sequence_length=LENGTH,
        predictions=PREDICTIONS,
        eval_examples=40,
    )
    text.prepare(request, lambda line: None)
    return folder / "records"


@pytest.fixture
def benchmark(data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """tfperf's own `bert`, of another size."""
    pieces = len((data_dir / "vocab.txt").read_text(encoding="utf-8").splitlines())
    size = Encoder(
        hidden_size=32, layers=1, heads=2, intermediate_size=64, vocabulary_size=pieces, max_positions=LENGTH, dropout=0
    )
    own = bert.BENCHMARK
    assert own.training is not None
    options = PretrainingOptions(encoder=size, sequence_length=LENGTH, predictions=PREDICTIONS)
    small = dataclasses.replace(own, training=dataclasses.replace(own.training, options=options, rules=kept))
    monkeypatch.setattr(bert, "BENCHMARKS", (small,))
    monkeypatch.setattr(caches, "drop", lambda: True)  # which needs root, and slows what else runs here
    return small


def closed_run(benchmark: Benchmark, data_dir: pathlib.Path, output_dir: pathlib.Path) -> pathlib.Path:
    spec = config.load(
        "bert-wikipedia-lamb",
        task_of=benchmarks.task,
        overrides=[
            f"global_batch_size={BATCH}",
            f"max_steps={STEPS}",
            f"evaluation.every_samples={EVERY}",
            f"optimizer.lamb={{base_learning_rate: 0.03, training_steps: {STEPS}, warmup_steps: 20}}",
            "data.source.tfrecords={eval_file: eval}",
            "model.checkpoint=null",
            "precision=float32",
            "submission.org=somebody",
        ],
    )
    workspace = Workspace(output_dir=output_dir, name="closed", data_dir=data_dir, device=specs.Device(kind="cpu"))
    outcome, run_dir = train(spec, benchmark, workspace=workspace)
    assert run_dir is not None
    assert (outcome.valid, outcome.division, outcome.quality.target) == (True, "closed", 0.72), outcome.reasons
    assert isinstance(outcome, result.TrainResult)
    return run_dir


def official(*arguments: str, cwd: pathlib.Path) -> str:
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_official_checker_passes_the_log_of_a_closed_run(
    benchmark: Benchmark, data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run_dir = closed_run(benchmark, data_dir, tmp_path)
    log = str(run_dir / "mllog.txt")
    said = official("mlperf_logging.compliance_checker", "--ruleset", "5.0.0", "--werror", log, cwd=tmp_path)
    assert "SUCCESS" in said, said
    (verdict,) = checker.check(run_dir)
    assert (verdict.compliant, verdict.violations) == (True, ())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_runs_are_a_result_but_for_their_size(
    benchmark: Benchmark, data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    logs = [closed_run(benchmark, data_dir, tmp_path / "runs") / "mllog.txt" for _ in range(RUNS)]
    folder = submission.write_results_folder(
        tmp_path / "org", logs, benchmark="bert", platform="a system", division="closed", description={}
    )
    *runs, whole = checker.check(folder)
    assert [run.compliant for run in runs] == [True] * RUNS
    assert {remark.key for run in runs for remark in run.remarks} == {"eval_accuracy", "eval_samples"}
    (found,) = whole.violations
    assert found.message.startswith(f"MLPerf has no reference convergence at batch size {BATCH}: its smallest is 448, ")
    assert re.search(r"these runs took [\d,]+ samples\.", found.message), found.message
    log = tmp_path / "package.log"
    official(
        "mlperf_logging.package_checker",
        str(tmp_path / "org"),
        "training",
        "5.0.0",
        f"--log_output={log}",
        cwd=tmp_path,
    )
    errors = [line for line in log.read_text().splitlines() if "ERROR - " in line]
    assert len(errors) == 1, errors
    assert "RCP" in errors[0], errors
