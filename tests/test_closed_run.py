"""The full ResNet-50 trains to its target and writes a log that the official checker passes."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent

# Learning rates for batches of 8, inside the closed rules.
RATES = {
    "sgd": ("base_learning_rate=0.02", "warmup_epochs=0", "decay_steps=200"),
    "lars": ("base_learning_rate=5.0", "warmup_epochs=0", "decay_steps=200"),
}


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two easily told classes in ImageNet's layout."""
    directory = tmp_path_factory.mktemp("easy")
    sizes = ("--train_examples=32", "--eval_examples=16", "--classes=2")
    tool = [sys.executable, str(ROOT / "tools" / "prepare_easy_imagenet.py"), f"--data_dir={directory}", *sizes]
    subprocess.run(tool, cwd=ROOT, env=_environment(), check=True)
    return directory


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("optimizer", RATES)
def test_the_official_checker_passes_a_closed_run(
    optimizer: str, imagenet: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    sets = [f"--set=optimizer.{optimizer}.{rate}" for rate in RATES[optimizer]]
    sets += ["--set=global_batch_size=8", "--set=precision=float32", "--set=steps_per_execution=1"]
    sets += [
        "--set=data.source.tfrecords={train_shards: 4, eval_shards: 2}",
        "--set=evaluation.offset=0",
        "--set=max_epochs=40",
    ]
    where = [f"--data_dir={imagenet}", f"--output_dir={tmp_path}"]
    command = [sys.executable, "-m", "tfperf", "train", f"--config=resnet50-imagenet-{optimizer}", *sets, *where]
    trained = subprocess.run([*command, "--format=json"], env=_environment(), stdout=subprocess.PIPE, text=True)
    assert trained.returncode == 0
    outcome = json.loads(trained.stdout)
    assert outcome["quality"]["value"] >= 0.759
    assert not outcome["closed_eligible"], "32 images are not ImageNet"
    module = ["-m", "mlperf_logging.compliance_checker", "--usage", "training", "--ruleset", "4.0.0"]
    log = pathlib.Path(outcome["run_dir"]) / "mllog.txt"
    checked = subprocess.run([sys.executable, *module, str(log)], cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS" in checked.stdout + checked.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
