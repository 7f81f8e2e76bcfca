"""What all tests share: a quiet TensorFlow, a processor that looks like two, signals, and the folder of data sets."""

import os
import pathlib
import signal
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    # Read once, when something imports TensorFlow; subprocesses inherit both.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "gpu" not in config.option.markexpr.split():
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for accelerator in {"gpu", "tpu"} - set(config.option.markexpr.split()):
        skip = pytest.mark.skip(
            reason=f"needs a {accelerator.upper()}; where there is one, run pytest -m {accelerator}"
        )
        for item in items:
            if item.get_closest_marker(accelerator):
                item.add_marker(skip)


def pytest_collection_finish(session: pytest.Session) -> None:
    # TensorFlow fixes its devices at the first operation, so this can't wait for the first test that asks for two.
    if any("two_cpus" in getattr(item, "fixturenames", ()) for item in session.items):
        split_cpu()


def split_cpu() -> None:
    """Makes TensorFlow see the processor as the devices CPU:0 and CPU:1."""
    import tensorflow as tf

    try:
        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    except RuntimeError as error:
        raise pytest.UsageError("A test module ran TensorFlow while it was imported. Move that into a test.") from error


@pytest.fixture(scope="session")
def two_cpus() -> tuple[str, str]:
    """The names of two logical devices, as `tf.distribute.MirroredStrategy` takes them."""
    return ("CPU:0", "CPU:1")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C reach the processes that the test starts.

    A shell starts background jobs, such as `nohup tools/check &`, with SIGINT ignored, and every descendant inherits
    that. A handler in this process is reset to the default when a child starts.
    """
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of data sets that do not come with the source."""
    folder = pathlib.Path(os.environ.get("TFPERF_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs data sets in {folder}; set TFPERF_DATA to the folder that holds them")
    return folder
