"""The grey photographs in the layout of each source.

TensorFlow is imported in the fixtures: a conftest may be loaded before tests/conftest.py quietens it.
"""

import pathlib

import pytest

from tfperf import spec
from tfperf.benchmarks.benchmark import OpenData
from tfperf.benchmarks.images.sources import Folder, Tfds


@pytest.fixture(scope="session")
def listed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    from tests.benchmarks.images.grey_photographs import PHOTOS

    return PHOTOS.write_listed(tmp_path_factory.mktemp("listed"))


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    from tests.benchmarks.images.grey_photographs import PHOTOS

    return PHOTOS.write_class_folders(tmp_path_factory.mktemp("class_folders"), validation="validation")


@pytest.fixture(scope="session")
def tfrecords(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    from tests.benchmarks.images.grey_photographs import PHOTOS

    return PHOTOS.write_tfrecords(tmp_path_factory.mktemp("tfrecords"))


@pytest.fixture(scope="session")
def animals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    from tests.benchmarks.images.grey_photographs import Animals

    roots = {name: tmp_path_factory.mktemp(name) for name in ("tfrecord", "array_record")}
    for name, root in roots.items():
        Animals(data_dir=root, file_format=name).download_and_prepare()
    return roots


@pytest.fixture(params=["listed", "class_folders", "tfrecords", "animals_tfrecord", "animals_array_record"])
def opened(request: pytest.FixtureRequest) -> OpenData:
    """The same examples from every source."""
    from tests.benchmarks.images.grey_photographs import PREPROCESSING, SHARDED
    from tfperf.benchmarks.images.data import open_data

    name = request.param
    if name.startswith("animals"):
        root = request.getfixturevalue("animals")[name.removeprefix("animals_")]
        return open_data(spec.Data(source=Tfds(name="animals")), PREPROCESSING, root)
    source = SHARDED if name == "tfrecords" else Folder()
    return open_data(spec.Data(source=source), PREPROCESSING, request.getfixturevalue(name))
