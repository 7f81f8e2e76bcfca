"""What breaks while `tfperf infer` measures ends the run, soon, with its cause, an exit code and the logs kept."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from tfperf import benchmarks, loadgen_log

MODULE = '''
import dataclasses
import os
import signal
import time

import numpy as np

from tfperf import Benchmark, benchmarks

MINI = benchmarks.get("resnet50_mini")
FAULT = os.environ["FAULT"]
kept, calls = [], 0


def responder(samples):
    """Answers as the mini does, until the 1000th query that comes alone. The comparison of forms has many at once."""
    answer = MINI.inference.responder(samples)
    return lambda outputs, indices: respond(answer, outputs, indices)


def respond(answer, outputs, indices):
    global calls
    calls += len(indices) == 1
    if calls >= 1000 and len(indices) == 1:
        if FAULT == "raises":
            raise RuntimeError("the accelerator fell off the bus")
        if FAULT == "nan":
            return answer((np.full_like(outputs[0], np.nan),), indices)
        if FAULT == "rows":
            return answer(outputs, indices)[:0]
        if FAULT == "blocks":
            time.sleep(1e6)
        if FAULT == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULT == "leaks" and calls % 8 == 0:
            kept.append(np.ones(2**20))
    return answer(outputs, indices)


BENCHMARK = dataclasses.replace(
    MINI, name="faulty", inference=dataclasses.replace(MINI.inference, responder=responder)
)
'''

CONFIG = """
benchmark: faulty.bench
division: internal
scenario:
  singlestream: {}
model: {image_size: 32, blocks: [1], width: 4}
data:
  source: {shapes: {train_examples: 64, eval_examples: 40}}
executable: function-float32
min_duration_s: 6
quality_target: 0
"""

FAULTS = {
    "raises": (1, "failed", "the accelerator fell off the bus"),
    "nan": (1, "failed", "nan"),
    "rows": (1, "failed", "must give 1 row"),
    "blocks": (1, "failed", "were not answered, and nothing happened for"),
    "killed": (1, "failed", "killed by SIGKILL"),
    "leaks": (1, "failed", "grew from"),
    "none": (0, "success", None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Holds the module, its config, an untrained model and the drawn scenes."""
    made = tmp_path_factory.mktemp("faults")
    (made / "faulty").mkdir()
    (made / "faulty" / "bench.py").write_text(MODULE, encoding="utf-8")
    (made / "config.yaml").write_text(CONFIG, encoding="utf-8")
    task = benchmarks.get("resnet50_mini").inference
    assert task is not None
    task.build_model(type(task.options)(image_size=32, blocks=(1,), width=4, classes=8)).save(made / "model.keras")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_served_model_is_reported(fault: str, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    code, status, words = FAULTS[fault]
    command = [sys.executable, "-m", "tfperf", "infer", "--config=config.yaml", "--weights=model.keras"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--data_dir=data", f"--output_dir={tmp_path}", "--format=json"],
        cwd=folder,
        env={**os.environ, "FAULT": fault, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    took_s = time.perf_counter() - began
    print(f"{fault}: exit code {done.returncode} after {took_s:.1f} s in all")
    outcome = json.loads(done.stdout)
    assert (done.returncode, outcome["status"], outcome["valid"]) == (code, status, words is None), done.stderr
    assert words is None or words in " ".join(outcome["reasons"])
    assert (pathlib.Path(outcome["run_dir"]) / "performance" / loadgen_log.DETAIL).stat().st_size > 0
    assert "Traceback" not in done.stderr
