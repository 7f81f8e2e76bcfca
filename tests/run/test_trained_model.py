"""A trained model is saved whole or not at all, and a result says which."""

import errno
import json
import os
import pathlib
import resource
import subprocess
import sys

import keras
import pytest

from tfperf.run import trained_model

LARGEST_FILE = 100_000


def model(units: int = 4) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])


def test_a_whole_model_gets_its_name(tmp_path: pathlib.Path) -> None:
    trained_model.save(model(), tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert keras.saving.load_model(tmp_path / "model.keras").count_params() == 20


class Unsaved:
    """Fills the disk."""

    def save(self, path: pathlib.Path) -> None:
        path.write_bytes(b"the first part")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_nothing_is_left_of_a_model_that_does_not_fit(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        trained_model.save(Unsaved(), tmp_path / "model.keras")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))


@pytest.mark.slow
def test_a_run_whose_model_does_not_fit_keeps_its_result_and_manifest(tmp_path: pathlib.Path) -> None:
    tiny = [
        "global_batch_size=16",
        "model={image_size: 32, blocks: [1], width: 16}",
        "division=internal",
        "max_epochs=1",
    ]
    tiny += ["data.source.shapes={train_examples: 64, eval_examples: 40}", "optimizer.sgd.warmup_epochs=0"]
    program = [sys.executable, "-m", "tfperf"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    prepare = [*program, "prepare", "shapes", f"--data_dir={tmp_path}", "--train_examples=64", "--eval_examples=40"]
    subprocess.run(prepare, env=environment, check=True, capture_output=True)
    command = [*program, "train", "--config=resnet50-mini", *(f"--set={value}" for value in tiny)]
    done = subprocess.run(
        [*command, f"--data_dir={tmp_path}", f"--output_dir={tmp_path / 'runs'}"],
        env=environment,
        preexec_fn=limit_files,
        capture_output=True,
        text=True,
    )
    (run_dir,) = (tmp_path / "runs").iterdir()
    names = {path.name for path in run_dir.iterdir()}
    notes = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["notes"]
    assert done.returncode == 1, done.stderr
    assert done.stderr.rstrip().endswith("Free some space or choose another --output_dir.")
    assert "Traceback" not in done.stderr
    assert any(note.startswith("model.keras could not be saved: ") for note in notes)
    assert "manifest.json" in names
    assert not [name for name in names if ".keras" in name or "partial" in name]
