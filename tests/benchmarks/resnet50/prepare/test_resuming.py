"""A preparation that was killed is resumed, and no other one."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests.benchmarks.resnet50.prepare.tiny_imagenet import contents, encoded, prepare, visible, write
from tfperf.benchmarks.prepare import journal
from tfperf.benchmarks.resnet50.prepare import imagenet
from tfperf.errors import UsageError

KILLED = """
import os, pathlib, signal, sys
from tfperf.benchmarks.prepare import journal
from tfperf.benchmarks.resnet50.prepare import imagenet
remember, finished = journal.remember, []
def remember_three(*arguments):
    remember(*arguments)
    finished.append(arguments)
    if len(finished) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
journal.remember = remember_three
source, data_dir = map(pathlib.Path, sys.argv[1:])
imagenet.prepare(imagenet.ImageNetRequest(source=source, data_dir=data_dir, train_shards=100, eval_shards=2), print)
"""


def test_a_killed_preparation_is_resumed_and_ends_with_the_same_files(
    tree: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for number in range(400):
        write(tree / f"train/n01440764/more_{number}.JPEG", encoded(number))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tree), str(tmp_path / "out")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(contents(tmp_path / "out")) >= 3
    assert not (tmp_path / "out/counts.json").exists()
    said: list[str] = []
    request = imagenet.ImageNetRequest(source=tree, data_dir=tmp_path / "out", train_shards=100, eval_shards=2)
    imagenet.prepare(request, said.append)
    prepare(tree, tmp_path / "uninterrupted", train_shards=100)
    assert contents(tmp_path / "out") == contents(tmp_path / "uninterrupted")
    assert visible(tmp_path / "out") == visible(tmp_path / "uninterrupted")
    assert "resuming: 3 of 102 files are finished" in said


def test_a_second_call_keeps_everything(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first = prepare(tree, tmp_path / "out")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*-of-*")}
    assert prepare(tree, tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*-of-*")} == stamps


def test_what_is_missing_or_cut_is_written_again(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "out")
    whole = contents(tmp_path / "out")
    (tmp_path / "out/train-00000-of-00003").unlink()
    os.truncate(tmp_path / "out/train-00001-of-00003", 100)
    with (tmp_path / "out" / journal.FILE).open("a") as file:
        file.write('{"name": "train-0')
    prepare(tree, tmp_path / "out")
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [({"train_shards": 4}, "train_shards: 3 then, 4 now"), ({"eval_shards": 3}, "eval_shards: 2 then, 3 now")],
)
def test_other_arguments_do_not_resume(
    tree: pathlib.Path, tmp_path: pathlib.Path, options: dict[str, int], message: str
) -> None:
    prepare(tree, tmp_path / "out")
    with pytest.raises(UsageError, match=rf"started with other arguments \({message}"):
        prepare(tree, tmp_path / "out", **options)


def test_other_images_do_not_resume(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "out")
    write(tree / "train/n01440764/new.JPEG", encoded(9))
    with pytest.raises(UsageError, match="images: 18 then, 19 now"):
        prepare(tree, tmp_path / "out")


def test_files_of_another_origin_are_not_overwritten(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "out/train-00001-of-00003", b"precious")
    with pytest.raises(UsageError, match=r"already holds train-00001-of-00003 and no prepare\.jsonl"):
        prepare(tree, tmp_path / "out")
    assert (tmp_path / "out/train-00001-of-00003").read_bytes() == b"precious"


def test_two_preparations_do_not_share_a_folder(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    hold = "import pathlib, sys; from tfperf.benchmarks.prepare import lock\n"
    hold += "with lock.locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="Another process prepares"):
            prepare(tree, tmp_path / "out")
        holder.communicate()
    prepare(tree, tmp_path / "out")
