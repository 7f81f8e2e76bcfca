"""The manifest binds the files of a run."""

import json
import pathlib

import pytest

from tfperf import manifest


@pytest.fixture
def run_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "train").mkdir()
    (tmp_path / "mllog.txt").write_text("a log", encoding="utf-8")
    (tmp_path / "train" / "events").write_text("curves", encoding="utf-8")
    manifest.write(tmp_path, division="internal", code_version="0.1.0")
    return tmp_path


def test_it_holds_the_digest_of_every_file(run_dir: pathlib.Path) -> None:
    written = json.loads((run_dir / "manifest.json").read_text(encoding="utf-8"))
    assert (written["division"], written["code_version"]) == ("internal", "0.1.0")
    assert set(written["files"]) == {"mllog.txt", "train/events"}
    # printf 'a log' | sha256sum
    assert written["files"]["mllog.txt"] == "5775e775a009a883570f8738b2efba72ebd889bebd792398088abf4b78a55133"


def test_an_untouched_run_has_no_differences(run_dir: pathlib.Path) -> None:
    assert manifest.differences(run_dir) == ()


def test_changed_missing_and_added_files_are_reported(run_dir: pathlib.Path) -> None:
    (run_dir / "mllog.txt").write_text("another log", encoding="utf-8")
    (run_dir / "train" / "events").unlink()
    (run_dir / "copied.txt").write_text("from elsewhere", encoding="utf-8")
    assert manifest.differences(run_dir) == (
        "mllog.txt was changed",
        "train/events is missing",
        "copied.txt was added",
    )


def test_a_run_within_the_run_is_bound_with_its_own_manifest(tmp_path: pathlib.Path) -> None:
    (tmp_path / "trials" / "0").mkdir(parents=True)
    manifest.write(tmp_path / "trials" / "0", division="internal", code_version="1")
    manifest.write(tmp_path, division="internal", code_version="1")
    assert manifest.differences(tmp_path) == ()
    (tmp_path / "trials" / "0" / manifest.NAME).unlink()
    assert manifest.differences(tmp_path) == ("trials/0/manifest.json is missing",)


def test_files_that_tensorboard_adds_beside_a_profile_are_ignored_but_the_profile_is_not(
    tmp_path: pathlib.Path,
) -> None:
    shown = tmp_path / "plugins" / "profile" / "2026_01_01_00_00_00"
    shown.mkdir(parents=True)
    (shown / "host.xplane.pb").write_bytes(b"a profile")
    manifest.write(tmp_path, division="internal", code_version="1")
    (shown / "host.SSTABLE").write_bytes(b"a cache")
    assert manifest.differences(tmp_path) == ()
    (shown / "host.xplane.pb").write_bytes(b"another profile")
    assert manifest.differences(tmp_path) == ("plugins/profile/2026_01_01_00_00_00/host.xplane.pb was changed",)
