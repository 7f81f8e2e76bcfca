"""Whatever a training log or a run directory of inference holds, `tfperf check` gives a verdict or says what it is."""

import functools
import json
import pathlib
import random
import shutil

from tests.cli.test_check import _write as write_log
from tests.compliance.serving_logs import ServedRun
from tests.fuzz.mutation import ODD_VALUES, damaged, odd, run_all, seeds, with_an_odd_value
from tfperf.cli import check
from tfperf.compliance import checker, official, verdict
from tfperf.errors import UsageError

LOGS = 1700
SERVED = 300

TOKEN = ":::MLLOG "
NAMES = ("value", "key", "time_ms", "metadata", "epoch_num", "status", "lineno", "file", "checked_as", "ruleset")


def test_a_training_log_gets_a_verdict(tmp_path: pathlib.Path) -> None:
    whole = []
    for name, division in (("resnet50", "closed"), ("resnet50_mini", "open"), ("resnet50_mini", "internal")):
        path = tmp_path / f"{name}-{division}.txt"
        write_log(path, name=name, division=division)
        whole.append(path.read_bytes())
    path = tmp_path / "mllog.txt"
    cases = ((f"log {number}", functools.partial(check_log, path, whole, chance)) for number, chance in seeds(LOGS))
    with official.rules_read_once():
        ended = run_all(cases, accepted=(UsageError,))
    assert ended["accepted"] > LOGS / 2, ended


def check_log(path: pathlib.Path, whole: list[bytes], chance: random.Random) -> None:
    content = chance.choice(whole)
    path.write_bytes(damaged(content, chance) if chance.random() < 0.4 else with_odd_lines(content, chance))
    show(path)


def odd_line(line: str, chance: random.Random) -> str:
    start, token, text = line.partition(TOKEN)
    how = chance.randrange(6)
    if how == 0:
        return f"{start}{token}{odd(chance)}"
    if how == 1:
        return f"{start}{token}{'[' * chance.choice((2000, 100_000))}"
    fields = json.loads(text)
    if how == 2:
        fields["metadata"] = {chance.choice(NAMES): chance.choice(ODD_VALUES), **fields["metadata"]}
    elif how == 3:
        fields[chance.choice(NAMES)] = chance.choice(ODD_VALUES)
    else:
        fields = with_an_odd_value(fields, chance)
    return f"{start}{token}{json.dumps(fields, ensure_ascii=chance.random() < 0.5)}"


def with_odd_lines(content: bytes, chance: random.Random) -> bytes:
    """The log with one line or a few in which a value is odd."""
    lines = content.decode().splitlines()
    for number in chance.sample(range(len(lines)), min(len(lines), chance.choice((1, 1, 3)))):
        if TOKEN in lines[number]:
            lines[number] = odd_line(lines[number], chance)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def show(path: pathlib.Path) -> None:
    """What the command prints, as text and as JSON."""
    verdicts = checker.check(path)
    assert verdicts
    json.dumps([verdict.as_dict(found) for found in verdicts])
    for line in check.report(verdicts):
        line.encode()
        assert all(character.isprintable() for character in line), line


def test_a_run_of_inference_gets_a_verdict(tmp_path: pathlib.Path) -> None:
    run = ServedRun(folder=tmp_path, samples=500)("whole")
    files = [file for file in sorted(run.rglob("*")) if file.is_file()]
    kept = {file: file.read_bytes() for file in files}
    cases = ((f"run {number}", functools.partial(check_run, run, kept, chance)) for number, chance in seeds(SERVED))
    ended = run_all(cases, accepted=(UsageError,))
    assert ended["accepted"] > SERVED / 2, ended


def check_run(run: pathlib.Path, kept: dict[pathlib.Path, bytes], chance: random.Random) -> None:
    file = chance.choice([file for file in kept for _ in range(8 if file.name == "result.json" else 1)])
    how = chance.randrange(8)
    if how == 0:
        file.unlink()
    elif how == 1:
        file.unlink()
        file.mkdir()
    elif how < 4:
        file.write_bytes(damaged(kept[file], chance))
    elif file.suffix == ".json":
        changed = with_an_odd_value(json.loads(kept[file]), chance)
        file.write_text(json.dumps(changed), encoding="utf-8")
    else:
        file.write_bytes(with_odd_lines(kept[file], chance))
    try:
        show(run)
    finally:
        if file.is_dir():
            shutil.rmtree(file)
        file.write_bytes(kept[file])
