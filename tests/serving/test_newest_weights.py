"""The newest run of a folder that trained the benchmark serves, whatever lies beside it."""

import dataclasses
import pathlib

import pytest

from tests.reporting.plugin.conftest import TRAINED
from tfperf import benchmarks, result
from tfperf.errors import UsageError
from tfperf.inference.weights import Weights
from tfperf.serving.prepared import newest_weights


def trained(run_dir: pathlib.Path, outcome: result.TrainResult = TRAINED) -> pathlib.Path:
    run_dir.mkdir()
    result.write(run_dir / "result.json", outcome)
    (run_dir / "model.keras").write_bytes(b"")
    return run_dir


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 5000, b'{"schema": 1, "kind": "train"}'])
def test_a_neighbour_that_can_not_be_read_does_not_matter(content: bytes, tmp_path: pathlib.Path) -> None:
    older = trained(tmp_path / "1")
    damaged = trained(tmp_path / "2")
    (damaged / "result.json").write_bytes(content)
    (tmp_path / "3" / "result.json").mkdir(parents=True)
    trained(tmp_path / "4", dataclasses.replace(TRAINED, benchmark="another"))
    assert newest_weights(Weights(path=tmp_path), benchmark=benchmarks.get("resnet50_mini")).path == older
    with pytest.raises(UsageError, match=r"holds 4 run directories, and none with a trained resnet50\. Train one"):
        newest_weights(Weights(path=tmp_path), benchmark=benchmarks.get("resnet50"))


@pytest.mark.parametrize("name", ["bert", "bert_99_9"])
def test_the_fine_tuned_model_is_served_and_not_the_pre_trained_one(name: str, tmp_path: pathlib.Path) -> None:
    tuned = trained(tmp_path / "1", dataclasses.replace(TRAINED, benchmark="bert_squad"))
    trained(tmp_path / "2", dataclasses.replace(TRAINED, benchmark="bert"))
    assert newest_weights(Weights(path=tmp_path), benchmark=benchmarks.get(name)).path == tuned
