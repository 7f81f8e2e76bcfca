"""What is installed, from what, and by which tools."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parent.parent
LOCK = ROOT / "tools" / "requirements.lock"
TOOLS = [path for path in (ROOT / "tools").iterdir() if path.is_file() and path.suffix in ("", ".sh")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy, since building leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("tfperf", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "."]
    subprocess.run(build, cwd=folder, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_every_file_and_config(wheel: zipfile.ZipFile) -> None:
    paths = [path for path in (ROOT / "tfperf").rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    files = {path.relative_to(ROOT).as_posix() for path in paths if path.suffix not in (".md", ".jpg")}
    configs = {f"tfperf/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == files | configs


def test_wheel_holds_command_and_license(wheel: zipfile.ZipFile) -> None:
    about = {pathlib.PurePath(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "tfperf = tfperf.cli.main:console" in wheel.read(about["entry_points.txt"]).decode()
    assert wheel.read(about["LICENSE"]) == (ROOT / "LICENSE").read_bytes()


def test_source_archive_holds_what_a_checkout_does(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "runs")
    shutil.copytree(ROOT, folder, ignore=ignored)
    program = "from setuptools import build_meta; print(build_meta.build_sdist('made'))"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True)
    (archive,) = (folder / "made").iterdir()
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for room in ("tfperf", "configs", "tests", "tools"):
        kept = {path.relative_to(folder).as_posix() for path in (folder / room).rglob("*") if path.is_file()}
        assert kept <= names, sorted(kept - names)[:5]


def test_installed_package_finds_its_configs(wheel: zipfile.ZipFile, tmp_path: pathlib.Path) -> None:
    wheel.extractall(tmp_path)
    program = (
        "from importlib import resources; [print(p.name) for p in (resources.files('tfperf') / 'configs').iterdir()]"
    )
    listing = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path, text=True)
    assert sorted(listing.split()) == sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")], ids="-".join)
def test_lock_pins_one_version_of_every_dependency(python: str, platform: tuple[str, str]) -> None:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": platform[0],
        "platform_machine": platform[1],
    }
    pins = [pin for pin in locked() if pin.marker is None or pin.marker.evaluate(environment)]
    for wanted in declared():
        if wanted.marker is not None and not wanted.marker.evaluate(environment):
            continue
        versions = [pinned_version(pin) for pin in pins if same_name(pin, wanted)]
        assert len(versions) == 1, f"{wanted} needs one version in {LOCK.name}, got {versions}. Run tools/lock."
        assert wanted.specifier.contains(versions[0]), f"{LOCK.name} has {versions[0]} for {wanted}. Run tools/lock."


def test_lock_names_versions_and_nothing_else() -> None:
    assert all(pinned_version(pin) and not pin.url for pin in locked())


@pytest.mark.parametrize("script", [ROOT / ".ci" / "run", *sorted(TOOLS)], ids=lambda script: script.name)
def test_script_is_whole(script: pathlib.Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK) == (script.suffix == ""), f"{script} must be executable unless it is sourced."


def declared() -> list[Requirement]:
    """All that setup.cfg asks for, extras and all."""
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg", encoding="utf-8")
    blocks = [options["options"]["install_requires"], *options["options.extras_require"].values()]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def locked() -> list[Requirement]:
    """All pins of the lock."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def pinned_version(pin: Requirement) -> str:
    """The version of a pin `name==version`."""
    (exact,) = pin.specifier
    assert exact.operator == "==", f"{pin} must be pinned with ==."
    return exact.version


def same_name(one: Requirement, other: Requirement) -> bool:
    """Whether two requirements name one package, as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", one.name.lower()) == re.sub(r"[-_.]+", "-", other.name.lower())
