"""A result records what its numbers depend on."""

import pathlib
import subprocess

import pytest

from tfperf.system import environment


def test_records_every_variable_that_changes_how_a_run_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "NCCL_ALGO": "Ring",
        "NCCL_SOCKET_IFNAME": "eth1",
        "NVIDIA_TF32_OVERRIDE": "0",
        "TF_GPU_THREAD_MODE": "gpu_private",
        "TF_CUDNN_DETERMINISTIC": "1",
        "XLA_FLAGS": "--xla_gpu_autotune_level=2",
        "OMP_NUM_THREADS": "4",
        "KMP_AFFINITY": "compact",
        "LD_PRELOAD": "libtcmalloc.so",
    }
    for name, value in {**given, "AWS_SECRET_ACCESS_KEY": "hush", "HOME": "/home/somebody"}.items():
        monkeypatch.setenv(name, value)
    recorded = environment.capture({})["variables"]
    assert given.items() <= recorded.items()
    assert not {"AWS_SECRET_ACCESS_KEY", "HOME"} & recorded.keys()
    assert list(recorded) == sorted(recorded)


def test_records_the_commit_of_the_code_that_it_was_started_in(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment.commit() is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-C", str(tmp_path)]
    (tmp_path / "model.py").write_text("1\n", encoding="utf-8")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    found = environment.commit()
    assert found and head.startswith(found)
    (tmp_path / "model.py").write_text("2\n", encoding="utf-8")
    assert environment.commit() == f"{found}+changes"
