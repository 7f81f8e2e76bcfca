"""The sources of a tiny ImageNet.

TensorFlow is imported in the fixtures: a conftest may be loaded before tests/conftest.py quietens it.
"""

import pathlib

import pytest


@pytest.fixture
def archives(tmp_path: pathlib.Path) -> pathlib.Path:
    from tests.benchmarks.resnet50.prepare.tiny_imagenet import write_archives

    return write_archives(tmp_path / "source")


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    from tests.benchmarks.resnet50.prepare.tiny_imagenet import write_tree

    return write_tree(tmp_path / "tree")
