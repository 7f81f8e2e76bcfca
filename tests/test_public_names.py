"""The names that other people's code may rely on."""

import subprocess
import sys

import pytest

import tfperf


def test_the_public_names() -> None:
    assert sorted(tfperf.__all__) == [
        *(
            "Batch",
            "Benchmark",
            "DamagedDataError",
            "Data",
            "Division",
            "EvaluateSpec",
            "EvaluatedModel",
            "Feed",
            "ForeignWeights",
            "InferSpec",
            "InferenceTask",
        ),
        *("MLPerfCallback", "MissingDataError", "OpenData", "OpenSamples", "QualityTarget", "Ragged", "Respond"),
        *(
            "Sample",
            "Scorer",
            "Scoring",
            "ServedCheckpoints",
            "Tensor",
            "TrainSpec",
            "TrainingTask",
            "Weights",
            "Workspace",
        ),
        *("compare", "evaluate", "get_benchmark", "infer", "load_config", "measure", "train"),
    ]


@pytest.mark.parametrize("name", tfperf.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(tfperf, name).__doc__


def test_an_unknown_name_tells_the_public_ones() -> None:
    with pytest.raises(
        AttributeError, match=r"module 'tfperf' has no attribute 'trane'\. Public names: Batch, Benchmark, "
    ):
        _ = tfperf.trane


def test_import_loads_neither_tensorflow_nor_keras() -> None:
    check = "import sys, tfperf; print({'tensorflow', 'keras', 'numpy', 'yaml'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_import_takes_next_to_no_time() -> None:
    check = "import time; since = time.process_time(); import tfperf; print(time.process_time() - since)"
    taken_s = [float(subprocess.run([sys.executable, "-c", check], capture_output=True).stdout) for _ in range(3)]
    assert min(taken_s) < 0.05


def test_a_config_is_read_as_on_the_command_line() -> None:
    trained = tfperf.load_config("resnet50-mini", overrides=["max_epochs=6"])
    assert isinstance(trained, tfperf.TrainSpec)
    assert (trained.benchmark, trained.max_epochs) == ("resnet50_mini", 6)
    assert tfperf.get_benchmark(trained.benchmark).name == "resnet50_mini"
    served = tfperf.load_config("resnet50-mini-offline", overrides=["min_duration_s=6"])
    assert isinstance(served, tfperf.InferSpec)
    assert served.min_duration_s == 6
