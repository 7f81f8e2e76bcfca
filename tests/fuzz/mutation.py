"""Seeded damage to texts and bytes, and the limits that every case must keep."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

LONGEST_S = 2.0

ODD_TEXTS = (
    "",
    " ",
    "-",
    "~",
    "null",
    "true",
    "on",
    "off",
    "no",
    "010",
    "0x1F",
    "1_000",
    "1:30",
    "1e-4",
    "1e999",
    "-0.0",
    ".nan",
    ".inf",
    "-.INF",
    "-1",
    "0",
    "2147483648",
    "9223372036854775808",
    "9" * 30,
    "9" * 400,
    "9" * 5000,
    "1" + "0" * 310 + ".5",
    "1/3",
    "5",
    "\uff12",
    "\u0663",
    "2024-13-45",
    "2024-01-01 25:61:00",
    "!!int x",
    "!!float x",
    "!!bool x",
    "!!null x",
    "!!timestamp x",
    "!!binary x",
    "!!set {a}",
    "!!omap [a]",
    "!!python/name:os.system",
    "!!map 3",
    "!!merge x",
    "!odd 3",
    "*nowhere",
    "&a [*a]",
    "&a {b: *a}",
    "[[]]",
    "{}",
    "{a: {b: {c: d}}}",
    "[1, 2, x]",
    "[" * 300,
    "[" * 300 + "]" * 300,
    "{a: " * 300,
    "'",
    '"',
    '"\\ud800"',
    '"\\e[31mred\\a"',
    '"\\0"',
    '"a\\nb"',
    '"\\u202e"',
    "|",
    "> x",
    "..x",
    "x..",
    "no_such.module",
    "/dev/null",
    "../../etc/passwd",
    "a" * 5000,
    "# comment",
    "? x",
    "<<",
    "=",
    "@x",
    "%YAML 9.9",
    "\t",
    "\x85",
)

ODD_BYTES = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\r",
    b"\x1b[2J",
    b"\xed\xa0\x80",
    b"\x7f",
    b"\xc3",
    b"\x1a",
)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes after one to three accidents: cut off, flipped, repeated, removed, moved or with odd bytes in them."""
    for _ in range(chance.randint(1, 3)):
        data = _after_an_accident(data, chance)
    return data


def _after_an_accident(data: bytes, chance: random.Random) -> bytes:
    begin = chance.randint(0, len(data))
    end = min(len(data), begin + chance.choice((1, 2, 8, 40, 400)))
    before, part, after = data[:begin], data[begin:end], data[end:]
    match chance.randrange(8):
        case 0:
            return before
        case 1:
            return before + after
        case 2:
            return before + part * chance.choice((2, 3, 50)) + after
        case 3:
            return before + chance.choice(ODD_BYTES) + part + after
        case 4:
            return before + odd(chance).encode("utf-8", "surrogatepass") + after
        case 5:
            return before + bytes(byte ^ (1 << chance.randrange(8)) for byte in part) + after
        case 6:
            return before + chance.randbytes(len(part)) + after
    return after + before + part


ODD_VALUES = (
    10**400,
    -(10**400),
    1e308,
    float("nan"),
    float("-inf"),
    -1,
    0,
    True,
    None,
    "",
    "0.75",
    "\ud800",
    "\x1b[31mred",
    "../../common",
    [],
    {},
    [[]],
    {"a": {"b": None}},
    "resnet50_mini",
    "gpt3",
    "5.0.0",
    "internal",
    "x" * 5000,
)


def with_an_odd_value(value: Any, chance: random.Random) -> Any:
    """A JSON value in which one part, at any depth, is replaced, removed or added."""
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.1:
        return chance.choice(ODD_VALUES)
    changed = dict(value) if isinstance(value, dict) else list(value)
    where = chance.choice(list(changed)) if isinstance(changed, dict) else chance.randrange(len(changed))
    how = chance.random()
    if how < 0.1:
        del changed[where]
    elif how < 0.2 and isinstance(changed, dict):
        changed[chance.choice(("odd", "", "\ud800", "value"))] = chance.choice(ODD_VALUES)
    else:
        changed[where] = with_an_odd_value(changed[where], chance)
    return changed


def run_all(
    cases: Iterable[tuple[str, Callable[[], None]]], *, accepted: tuple[type[Exception], ...]
) -> dict[str, int]:
    """Runs named cases. Counts how they ended; the first that ends in another way or takes long fails the test.

    The time is that of this process alone, so that other work on the machine doesn't matter.
    """
    ended: dict[str, int] = {}
    for name, case in cases:
        began = time.process_time()
        try:
            case()
            how = "accepted"
        except accepted as error:
            how = type(error).__name__
            assert str(error), f"{name}: {how} without a message"
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
        took_s = time.process_time() - began
        assert took_s < LONGEST_S, f"{name} took {took_s:.1f} s"
        ended[how] = ended.get(how, 0) + 1
    return ended


def seeds(count: int) -> Iterator[tuple[int, random.Random]]:
    """The number of each case with its own source of chance, so that each can be repeated alone."""
    return ((number, random.Random(number)) for number in range(count))


def odd(chance: random.Random) -> str:
    """One of the odd texts."""
    return chance.choice(ODD_TEXTS)
