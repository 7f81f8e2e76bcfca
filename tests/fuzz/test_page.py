"""Whatever the files of a run hold and whatever is requested, TensorBoard's tfperf page gets an answer, soon."""

import functools
import json
import pathlib
import random
import urllib.parse

from tests.fuzz.mutation import damaged, odd, run_all, seeds, with_an_odd_value
from tests.reporting.plugin.conftest import Board, Writer

CASES = 500
FILES = ("result.json", "result.json", "result.json", "events.jsonl", "environment.json", "manifest.json", "*tfevents*")
ADDRESSES = ("runs", "run", "manifest", "index.js", "charts.js", "page.js", "style.css", "nowhere", "../run", "")


def test_the_page_gets_an_answer(tmp_path: pathlib.Path) -> None:
    runs = Writer(logdir=tmp_path)
    trained, served = runs.training("trained"), runs.serving("served")
    runs.training("unfinished", None)
    runs.bare("swept", runs.swept)
    for run_dir in (trained, served):
        (run_dir / "environment.json").write_text(json.dumps({"command": ["tfperf"], "cpu": "x"}), encoding="utf-8")
        runs.seal(run_dir)
    kept = {file: file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file()}
    board = Board(tmp_path)
    cases = (
        (f"page {number}", functools.partial(ask, board, tmp_path, kept, chance)) for number, chance in seeds(CASES)
    )
    ended = run_all(cases, accepted=())
    assert ended == {"accepted": CASES}


def ask(board: Board, logdir: pathlib.Path, kept: dict[pathlib.Path, bytes], chance: random.Random) -> None:
    pattern = chance.choice(FILES)
    file = chance.choice([file for file in kept if file.match(pattern)])
    file.write_bytes(changed(kept[file], chance))
    if "tfevents" in file.name:
        board = Board(logdir)
    try:
        listed = answer(board, "runs")["runs"]
        assert len(listed) == 4
        for run in listed:
            answer(board, f"run?key={run['key']}")
        answer(board, f"manifest?key={chance.choice(listed)['key']}")
        query = urllib.parse.urlencode({chance.choice(("key", "run", odd(chance)[:20])): odd(chance)[:2000]})
        assert board.get(f"{chance.choice(ADDRESSES)}?{query}").status_code < 500
    finally:
        file.write_bytes(kept[file])


def changed(content: bytes, chance: random.Random) -> bytes:
    how = chance.random()
    if how < 0.4 or not content.startswith(b"{"):
        return damaged(content, chance)
    try:
        return json.dumps(with_an_odd_value(json.loads(content), chance)).encode()
    except json.JSONDecodeError:  # one value on each line
        lines = content.splitlines()
        number = chance.randrange(len(lines))
        lines[number] = json.dumps(with_an_odd_value(json.loads(lines[number]), chance)).encode()
        return b"\n".join(lines) + b"\n"


def answer(board: Board, address: str) -> dict[str, object]:
    """The answer, as strictly as a browser reads it."""
    response = board.get(address)
    assert response.status_code == 200, (address, response.status_code)
    return dict(json.loads(response.data, parse_constant=refused))


def refused(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
