"""The examples run as they stand and end with a valid result."""

import gzip
import os
import pathlib
import runpy
import sys

import numpy as np
import pytest

from tests import readmes
from tfperf import manifest, result

HERE = pathlib.Path(__file__).parent


def run(name: str, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> result.TrainResult:
    """Runs an example in a folder of its own."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(HERE / name), run_name="__main__")
    found = result.read(folder / "runs" / "1" / "result.json")
    assert isinstance(found, result.TrainResult)
    assert manifest.differences(folder / "runs" / "1") == ()
    return found


def differs_from_readme(name: str, printed: str) -> list[str]:
    """The lines that a README shows of an example's output and whose labels are not printed."""
    (command,) = (each for each in readmes.commands() if name in each.words and each.output)
    return readmes.labels_not_in(printed, command)


def drawn(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images with a bright bar, whose place is the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, size=count).astype("uint8")
    images = random.integers(0, 120, size=(count, 28, 28)).astype("uint8")
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label + 4 : 2 * label + 7] += 120
    return images, labels


def saved(path: pathlib.Path, train: tuple[np.ndarray, ...], test: tuple[np.ndarray, ...]) -> str:
    np.savez(path, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    return str(path)


def test_an_image_classifier(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = saved(tmp_path / "data.npz", drawn(2000, seed=0), drawn(400, seed=1))
    outcome = run("image_classifier.py", tmp_path, monkeypatch, data)
    assert (outcome.valid, outcome.benchmark, outcome.division) == (True, "custom", "internal")
    assert (outcome.examples_per_s or 0) > 100
    assert differs_from_readme("image_classifier.py", capsys.readouterr().out) == []


def test_an_evaluated_model(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evaluate.yaml").write_text("phases: [{singlestream: {min_duration_s: 0.2}}]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(HERE / "evaluate_model.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "internal evaluation of sequential" in printed
    (run_dir,) = (tmp_path / "runs").iterdir()
    found = result.read(run_dir / "result.json")
    assert isinstance(found, result.EvaluateResult)
    assert [(each.executable, each.examples, set(each.values)) for each in found.judged] == [
        ("as_given", 64, {"loss", "accuracy"})
    ]
    assert found.phases[0].requests >= 64
    assert manifest.differences(run_dir) == ()


@pytest.mark.slow
@pytest.mark.data
def test_an_image_classifier_on_real_images(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, shared_data: pathlib.Path
) -> None:
    folder = shared_data / "fashion-mnist"

    def read(name: str, header: int, count: int) -> np.ndarray:
        with gzip.open(folder / f"{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)[:count]

    train = (read("train-images-idx3", 16, 8000 * 784).reshape(-1, 28, 28), read("train-labels-idx1", 8, 8000))
    test = (read("t10k-images-idx3", 16, 1000 * 784).reshape(-1, 28, 28), read("t10k-labels-idx1", 8, 1000))
    outcome = run("image_classifier.py", tmp_path, monkeypatch, saved(tmp_path / "data.npz", train, test))
    assert outcome.valid
    assert outcome.quality.value is not None
    assert outcome.quality.value < 0.95, "real images are harder than that"


def test_a_model_of_several_inputs_and_outputs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run("several_inputs.py", tmp_path, monkeypatch)
    assert (outcome.valid, outcome.quality.metric) == (True, "urgent_accuracy")
    assert outcome.config["optimizer"]["opt_name"] == "adam"


def test_a_loop_written_by_hand(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run("custom_loop.py", tmp_path, monkeypatch)
    assert differs_from_readme("custom_loop.py", capsys.readouterr().out) == []
    assert outcome.valid
    assert outcome.examples_per_s is not None
    (reason,) = outcome.closed_ineligible_because
    assert reason == "No benchmark was named, so there are no rules to check the run against."


@pytest.mark.usefixtures("two_cpus")
def test_two_replicas(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run("two_replicas.py", tmp_path, monkeypatch)
    assert (outcome.valid, outcome.environment["replicas"]) == (True, 2)


def test_the_folder_is_left_as_it_was() -> None:
    assert not list(HERE.glob("runs")), f"an example wrote beside itself, in {os.fspath(HERE)}"
