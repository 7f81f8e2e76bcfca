"""A result records what its numbers depend on."""

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
