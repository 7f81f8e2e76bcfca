"""The READMEs, their blocks of code, and what in printed output stays the same from run to run."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parent.parent
ROOMS = ("configs", "tests", "tfperf", "tools")
PATHS = [ROOT / "README.md", *sorted(path for room in ROOMS for path in (ROOT / room).rglob("README.md"))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        where: the README and the line of the fence.
        language: what follows the fence.
        text: what is inside.
    """

    where: str
    language: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command in a console block.

    Attributes:
        where: that of its block.
        line: as one types it.
        output: the lines that are shown below it; `...` stands for any number of lines.
    """

    where: str
    line: str
    output: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The program and its arguments."""
        return tuple(shlex.split(self.line))


def blocks() -> list[Block]:
    """All fenced blocks of all READMEs."""
    return [block for path in PATHS for block in blocks_of(path)]


def blocks_of(path: pathlib.Path) -> list[Block]:
    """The fenced blocks of one README."""
    text = path.read_text(encoding="utf-8")
    found = list(re.finditer(r"^ *```(.*)\n((?s:.*?))^ *```$", text, re.MULTILINE))
    assert 2 * len(found) == text.count("```"), f"{path}: a fence is open, or in the middle of a line"
    where = path.relative_to(ROOT).as_posix()
    return [
        Block(where=f"{where}:{text.count(chr(10), 0, each.start()) + 1}", language=each[1], text=each[2])
        for each in found
    ]


def commands() -> list[Command]:
    """All commands of all console blocks."""
    return [command for block in blocks() if block.language == "console" for command in commands_of(block)]


def commands_of(block: Block) -> list[Command]:
    """The commands of one console block, each with what is shown of its output."""
    text = block.text.replace("\\\n", "")
    assert text.startswith("$ "), f"{block.where}: a console block begins with a command: $ ..."
    parts = [part.splitlines() for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]
    return [Command(where=block.where, line=part[0], output=tuple(part[1:])) for part in parts]


def form(line: str) -> str:
    """What a line of output says whatever was measured: its label, or its text with # for each number.

    Names of benchmarks, run directories, forms and metrics are replaced, and so is what stands right of a label. How
    far a line is indented says only how long the longest label is.
    """
    line = re.sub(r"(?<=: )\S+/\S+$|runs/\S+", "PATH", line)
    line = re.sub(r"\b(resnet50_mini|ssd_mini|my_benchmark)\b", "BENCHMARK", line)
    line = re.sub(r"\b(function|xla|graph|litert)-(float32|bfloat16|float16|int8|dynamic_int8)\b", "FORM", line)
    line = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", line)
    label = re.split(r"(?<=\S)  +(?=\S)", line.strip())[0]
    label = "QUALITY" if label in ("accuracy", "map") else re.sub(r"(?<=queries/s: )(IN)?VALID", "VERDICT", label)
    return re.sub(r"\d[\d.,:]*(e[+-]\d+)?", "#", label)


def matches(shown: tuple[str, ...], printed: str) -> bool:
    """Whether output reads as shown, where `...` stands for any number of lines."""
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + r" *\n" for line in shown)
    return re.fullmatch(pattern, printed) is not None


def labels_not_in(printed: str, command: Command) -> list[str]:
    """The lines shown below a command whose labels are not in what was printed."""
    known = {form(line) for line in printed.splitlines()} | {"...", "FORM"}
    return [line for line in command.output if form(line) not in known]
