"""A full disk, an interruption or a stop leaves no half-written file."""

import concurrent.futures
import os
import pathlib
import resource
import threading

import pytest

from tests.benchmarks.resnet50.prepare.tiny_imagenet import contents, encoded, prepare, records, visible, write
from tfperf.benchmarks.prepare import journal, plan, shards
from tfperf.benchmarks.resnet50.prepare import photos
from tfperf.errors import UsageError


def test_a_full_disk_leaves_nothing_half_written(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tree / "train/n01440764/large.JPEG", encoded(1) + bytes(2_000_000))  # what follows the image is ignored
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"train-0000\d-of-00003 can't be written: .*Free space or choose another"):
            prepare(tree, tmp_path / "out", workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [name for name in visible(tmp_path / "out") if "partial" in name]
    assert not (tmp_path / "out/counts.json").exists()
    prepare(tree, tmp_path / "out")
    assert len(list(records(tmp_path / "out", "train"))) == 13


def test_free_space_is_checked_beforehand(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    huge = tree / "train/n01440764/huge.JPEG"
    huge.touch()
    os.truncate(huge, 2**43)  # sparse: takes no space itself
    with pytest.raises(UsageError, match=r"has .* GB free; 8796\.1 GB are needed"):
        prepare(tree, tmp_path / "out")
    assert contents(tmp_path / "out") == {}


def test_interruption_ends_the_threads_and_leaves_no_partial_file(
    tree: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(journal, "remember", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tree, tmp_path / "out", workers=2)
    assert not [name for name in visible(tmp_path / "out") if "partial" in name]
    monkeypatch.undo()
    assert sum(prepare(tree, tmp_path / "out").train.values()) == 12


def test_a_stopped_shard_is_given_up(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def refuse(photo: photos.StoredPhoto) -> tuple[shards.Record]:
        raise AssertionError(f"{photo} was read")

    stop = threading.Event()
    stop.set()
    planned = plan.shards("train", photos.find(tree).train, count=1)
    with pytest.raises(concurrent.futures.CancelledError):
        shards.write(planned[0], tmp_path, records_of=refuse, skip_unreadable=False, stop=stop)
    assert not (tmp_path / ".train-00000-of-00001.partial").exists()
