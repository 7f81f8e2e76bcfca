"""A workspace makes a new directory for each run."""

import pathlib
import re

import pytest

from tfperf import Workspace
from tfperf.errors import UsageError


def test_each_run_directory_is_new_and_named_after_its_time_and_run(tmp_path: pathlib.Path) -> None:
    workspace = Workspace(output_dir=tmp_path / "runs", name="mine")
    one, other = workspace.make_run_dir(), workspace.make_run_dir()
    assert one != other
    assert {one.parent, other.parent} == {tmp_path / "runs"}
    assert re.fullmatch(r"\d{8}T\d{6}Z-mine-[0-9a-f]{6}", one.name)


def test_a_directory_that_can_not_be_created_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match=r"The run directory .*-mine-.* can't be created: .* Choose another --output"):
        Workspace(output_dir=tmp_path / "runs", name="mine").make_run_dir()
