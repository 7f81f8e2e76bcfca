"""A `.keras` file with layers of tfperf's own benchmarks is loaded in a process that has not imported them."""

import pathlib
import subprocess
import sys

from tfperf import benchmarks
from tfperf.inference import load_model, weights


def test_layers_of_tfperf_s_own_benchmarks_need_no_trust(tmp_path: pathlib.Path) -> None:
    program = """
import sys
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad import model
from tfperf.benchmarks.bert.squad.options import SquadOptions
small = Encoder(hidden_size=8, layers=1, heads=2, intermediate_size=8, vocabulary_size=20, max_positions=16)
model.build(SquadOptions(encoder=small, sequence_length=16, question_length=4)).save(sys.argv[1])
"""
    path = tmp_path / "model.keras"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True)
    task = benchmarks.inference_task(benchmarks.get("resnet50_mini"))  # any: the file describes the model
    found = weights.resolve(weights.Weights(path=path))
    assert load_model.load(found, task, task.options).output_shape == (None, None, 2)
