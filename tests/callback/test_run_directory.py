"""Each run gets a directory of its own, and no run is overwritten."""

import copy
import os
import pathlib
import pickle
from concurrent import futures

import pytest

from tests.callback.measured_fit import done, fit, reaching
from tfperf.callback import run_directory
from tfperf.errors import ArgumentError


def test_a_directory_that_holds_a_run_is_never_written_to(tmp_path: pathlib.Path) -> None:
    fit(reaching(tmp_path / "run"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    again = reaching(tmp_path / "run")
    with pytest.warns(UserWarning, match=r"run holds another run, .* This run goes to .*/run-2, and "):
        fit(again)
    assert (again.run_dir, done(again).valid) == (tmp_path / "run-2", True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_directory_that_holds_a_run_is_refused_where_asked(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", if_taken="refuse")
    model = fit(callback)
    with pytest.raises(ArgumentError, match=r"run holds another run, and a run is never overwritten\. .* .*run-2, or"):
        reaching(tmp_path / "run", if_taken="refuse")
    fit(callback, model=model)
    assert callback.run_dir == tmp_path / "run-2", "the caller knows of its own first run"


def test_a_copy_is_a_callback_that_has_not_run(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", benchmark="resnet50_mini")
    for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert (twin.log_dir, twin.result, twin.run_dir) == (tmp_path / "run", None, None)
    fit(callback)
    twin = copy.deepcopy(callback)
    assert (twin.result, twin.model, done(callback).valid) == (None, None, True)
    with pytest.warns(UserWarning, match="holds another run"):
        fit(twin)
    assert (callback.run_dir, twin.run_dir) == (tmp_path / "run", tmp_path / "run-2")


def test_many_at_once_get_directories_of_their_own(tmp_path: pathlib.Path) -> None:
    with futures.ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: run_directory._claimed(tmp_path / "run"), range(8)))
    assert len(set(claimed)) == 8


def test_a_directory_that_can_not_be_made_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"log_dir .*taken/run can't be made: .*taken is a file\."):
        reaching(tmp_path / "taken" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ArgumentError, match=r"log_dir .* can't be written: .*locked is read-only\."):
        reaching(tmp_path / "locked" / "run")


def test_other_workers_than_the_chief_write_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", workers)
    callback = reaching(tmp_path / "run", verbose=1)
    fit(callback)
    assert done(callback).status == "success"
    assert not list(tmp_path.iterdir())
