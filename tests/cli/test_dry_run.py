"""A dry run refuses what the run refuses, and both before TensorFlow is imported."""

import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from tfperf.cli import main
code = main.main(["tfperf", *sys.argv[1:]])
print("imported" if "tensorflow" in sys.modules else "not imported")
sys.exit(code)
"""


def tfperf(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)


OFFLINE = ("infer", "--config=resnet50-mini-offline", "--weights=runs")
BERT_SWEEP = (
    "--set=base.data.source={shape_captions: {}}",
    "--set=base.optimizer={adamw: {base_learning_rate: 0.001}}",
    "--set=space={optimizer.adamw.base_learning_rate: {choice: [0.001, 0.002]}}",
    "--set=base.model={checkpoint: mini.ckpt}",
)
SERVER = "--set=scenario={server: {target_qps: 1.0e+21}}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train", "--config=resnet50-photos", "--set=max_epochs=1"),
            "optimizer.sgd.warmup_epochs must be at most max_epochs=1, unless decay_steps is given, got 2.",
        ),
        ((*OFFLINE, "--compliance=TEST99"), "--compliance TEST99: accepted for resnet are TEST01, TEST04."),
        (
            (*OFFLINE, "--compliance=TEST01", "--set=accuracy=false"),
            "Compliance tests compare with the accuracy run, which accuracy=false leaves out.",
        ),
        ((*OFFLINE, "--device=tpu"), "--device: serving takes one processor: auto, cpu or gpu; got tpu."),
        ((*OFFLINE, "--device=cpu:2"), "--device: serving takes one processor: auto, cpu or gpu; got cpu:2."),
        ((*OFFLINE, "--resume=nothing"), "--resume nothing: there is no search.json, so no search for a Server rate"),
        ((*OFFLINE, SERVER), "The rate needs too much memory: LoadGen generates all queries of a run in advance, and "),
        (
            (*OFFLINE, "--set=min_queries=1000000000000"),
            "The queries need too much memory: LoadGen generates all queries of a run in advance, and "
            "min_queries=1000000000000 take ",
        ),
        (
            ("sweep", "--config=sweep-resnet50-mini-offline", "--weights=runs", "--workers=2"),
            "--workers must be 1 for a measurement, got 2: ",
        ),
        (
            ("sweep", "--config=sweep-resnet50-mini-offline", "--weights=runs", "--device=tpu"),
            "--device: serving takes one processor: auto, cpu or gpu; got tpu.",
        ),
        ((*OFFLINE, "--set=executable=litert-int8", "--profile"), "--profile: executable litert-int8 runs in LiteRT"),
    ],
)
@pytest.mark.parametrize("dry", ["--dry_run", "--nodry_run"])
def test_what_the_run_refuses_the_dry_run_refuses_too(
    dry: str, arguments: tuple[str, ...], message: str, tmp_path: pathlib.Path
) -> None:
    done = tfperf(*arguments, dry, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "not imported\n"), done.stderr
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message", "needs"),
    [
        (OFFLINE, "There is no model runs. Accepted are ", "The model to serve is missing: There is no model runs."),
        (
            ("sweep", "--config=sweep-resnet50-mini-offline", "--weights=runs"),
            "There is no model runs. Accepted are ",
            "The model to serve is missing: There is no model runs.",
        ),
        (OFFLINE[:2], "--weights is missing.", "The model to serve is missing: pass --weights."),
        (
            ("infer", "--config=resnet50-imagenet-offline", "--weights=here.keras"),
            "here.keras is not a .keras file, which is a zip archive, or it is truncated.",
            "The model to serve is missing: here.keras is not a .keras file",
        ),
        (
            ("train", "--config=resnet50-photos"),
            "This config reads its examples from a folder, and none was given. Pass --data_dir.",
            "Their directory is missing: pass --data_dir.",
        ),
        (
            ("train", "--config=resnet50-imagenet-sgd", "--data_dir=nowhere"),
            "--data_dir nowhere is not a folder. Pass the folder that holds the examples.",
            "In nowhere, which does not exist.",
        ),
    ],
)
def test_what_is_missing_is_told_before_tensorflow_is_imported(
    arguments: tuple[str, ...], message: str, needs: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "here.keras").write_bytes(b"PK")
    done = tfperf(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "not imported\n"), done.stderr
    assert message in done.stderr
    planned = tfperf(*arguments, "--dry_run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert needs in planned.stdout
    assert planned.stdout.endswith("\nnot imported\n")


@pytest.mark.parametrize("dry", ["--dry_run", "--nodry_run"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train", "--config=bert-squad"),
            "There is no checkpoint at data/bert_model.ckpt: neither this file nor bert_model.ckpt.index exists.",
        ),
        (
            ("train", "--config=bert-squad", "--runs=2"),
            "There is no checkpoint at data/bert_model.ckpt: neither this file nor bert_model.ckpt.index exists.",
        ),
        (
            ("train", "--config=bert-mini", "--set=model={checkpoint: mini.safetensors}"),
            "There is no checkpoint at data/mini.safetensors: neither this file nor mini.safetensors.index exists.",
        ),
        (
            ("train", "--config=bert-squad", "--set=model.checkpoint=notes.txt"),
            "data/notes.txt is not a checkpoint that can be read. Give a .safetensors file, or the prefix of a ",
        ),
        (
            ("train", "--config=ssd-mini", "--set=model.backbone=resnet34.npz"),
            "backbone: there are no weights at data/resnet34.npz.",
        ),
        (
            ("sweep", "--config=sweep-resnet50-mini-lr", "--set=base.benchmark=bert_mini", *BERT_SWEEP),
            "There is no checkpoint at data/mini.ckpt: neither this file nor mini.ckpt.index exists.",
        ),
    ],
)
def test_weights_to_start_from_that_are_not_there_are_refused(
    dry: str, arguments: tuple[str, ...], message: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("none\n", encoding="utf-8")
    done = tfperf(*arguments, "--data_dir=data", dry, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "not imported\n"), done.stderr
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_dry_run_looks_for_an_accelerator(tmp_path: pathlib.Path) -> None:
    done = tfperf("train", "--config=resnet50-mini", "--device=gpu:9", "--dry_run", cwd=tmp_path)
    assert done.returncode == 2
    assert "--device gpu:9 needs 9 GPUs, TensorFlow sees " in done.stderr
