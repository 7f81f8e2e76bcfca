"""What a command doesn't run, doesn't print, and says when it fails itself."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tfperf.cli import fault, main
from tfperf.cli.printable import printable
from tfperf.errors import ConfigError

CONSOLE = (sys.executable, "-c", "import sys; sys.path.pop(0); from tfperf.cli.main import console; console()")
MODULE = (sys.executable, "-m", "tfperf")
BENCHMARK = "benchmark: mine.bench\ndivision: open\nglobal_batch_size: 8\nmax_epochs: 1\n"


def run(*command: str, cwd: pathlib.Path, **more: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, stderr=subprocess.PIPE, **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("program", [CONSOLE, MODULE], ids=["tfperf", "python -m tfperf"])
def test_a_folder_in_which_a_command_runs_gives_it_no_code(program: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    for name in ("json", "yaml", "difflib", "mlperf_logging", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n", encoding="utf-8")
    (tmp_path / "mllog.txt").write_text(":::MLLOG {}\n", encoding="utf-8")
    done = run(*program, "check", ".", cwd=tmp_path, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (6, "")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_users_benchmark_is_found_in_the_working_directory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bench.py").write_text("import tensorflow\nBENCHMARK = 3\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(BENCHMARK, encoding="utf-8")
    done = run(*MODULE, "train", "--config=mine.yaml", "--dry_run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("tfperf train: ")  # without what TensorFlow prints when it is imported
    assert "benchmark: module mine.bench must hold BENCHMARK, a tfperf.Benchmark; got 3." in done.stderr


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0\n", "tfperf train: ZeroDivisionError in code that is not part of tfperf: {path}, line 1."),
        ("\nx = (\n", "tfperf train: SyntaxError in code that is not part of tfperf: {path}, line 2."),
        ("import no_such\n", "tfperf train: ModuleNotFoundError in code that is not part of tfperf: {path}, line 1."),
    ],
)
def test_an_error_in_the_users_code_is_theirs(code: str, message: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mine" / "bench.py"
    path.parent.mkdir()
    path.write_text(code, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(BENCHMARK, encoding="utf-8")
    done = run(*MODULE, "train", "--config=mine.yaml", "--dry_run", cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, message.format(path=path))


def test_only_the_libraries_of_an_environment_are_not_the_users() -> None:
    assert fault._is_the_users(sys.executable)  # in the environment, as the user's own files may be
    assert not fault._is_the_users(os.path.abspath(os.__file__))
    assert not fault._is_the_users(pytest.__file__)


def test_an_error_of_tfperf_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> int:
        raise RuntimeError("a \x1b[31mred\x1b[0m fault")

    monkeypatch.setattr(fault, "_place_in_users_code", lambda error: None)  # as if tfperf had the function above
    monkeypatch.setattr(main, "_run", fail)
    assert main.main(["tfperf", "list"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback")
    assert "RuntimeError: a \\x1b[31mred\\x1b[0m fault" in printed
    assert "tfperf list: this is a fault of tfperf and not yours. Please report it to the maintainers" in printed


def test_a_file_that_may_not_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fault, "_place_in_users_code", lambda error: None)
    monkeypatch.setattr(main, "_run", lambda *_: len(pathlib.Path("/nowhere/log").read_text()))
    assert main.main(["tfperf", "check"]) == 2
    assert capsys.readouterr().err == (
        "tfperf check: [Errno 2] No such file or directory: '/nowhere/log'. Check the path and its permissions.\n"
    )


@pytest.mark.parametrize("arguments", [("--help",), ("list",), ("train", "--help")])
def test_a_reader_that_left_is_no_error(arguments: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(*MODULE, *arguments, cwd=tmp_path, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_version_is_printed(tmp_path: pathlib.Path) -> None:
    done = run(*MODULE, "--version", cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stdout.startswith("tfperf 0.")


def test_messages_hold_no_terminal_codes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise ConfigError(("key \x1b]0;title\x07 and \ud800",))

    monkeypatch.setattr(main, "_run", fail)
    assert main.main(["tfperf", "train"]) == 2
    assert capsys.readouterr().err == "tfperf train: key \\x1b]0;title\\x07 and \\ud800\n"


def test_plain_text_is_left_as_it_is() -> None:
    assert printable("a − b ≥ 5 µs\nü") == "a − b ≥ 5 µs\nü"  # noqa: RUF001


# Bars even root from files of others, while everything of root's, the interpreter's library among it, stays readable.
AS_ONE_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def can_be_one_user_of_several() -> bool:
    """Whether a test may own a file that a command it starts can't read."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    return subprocess.run((*AS_ONE_USER, "true"), check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_be_one_user_of_several(), reason="only root with setpriv can run this")
def test_a_log_of_another_user_does_not_hide_the_others(tmp_path: pathlib.Path) -> None:
    readable, secret = tmp_path / "result_0.txt", tmp_path / "result_1.txt"
    for path in (readable, secret):
        path.write_text(":::MLLOG {}\n", encoding="utf-8")
    secret.chmod(0o600)
    os.chown(secret, 65534, -1)
    done = run(*AS_ONE_USER, *MODULE, "check", str(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.stderr == ""
    assert "The file can't be opened: Permission denied." in done.stdout
    assert done.stdout.count("result_0.txt") >= 1
