"""A class name means one thing in all of tfperf."""

import ast
import collections
import pathlib
from collections.abc import Iterator, Mapping

import pytest

import tfperf
from tests import syntax

PACKAGE = pathlib.Path(tfperf.__file__).parent


def test_no_class_name_is_repeated() -> None:
    assert repeated(PACKAGE) == []


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        pytest.param(
            {"run/series.py": "class _Run: ...\n", "training/loop.py": "def fit():\n    class _Run: ...\n"},
            ["_Run: tfperf/run/series.py:1, tfperf/training/loop.py:2"],
            id="private, and inside a function",
        ),
        pytest.param(
            {
                "benchmarks/one/__init__.py": "BENCHMARK = 1\n",
                "benchmarks/one/options.py": "class Options: ...\n",
                "benchmarks/two/__init__.py": "BENCHMARK = 2\nclass Options: ...\n",
            },
            [],
            id="each benchmark's own",
        ),
        pytest.param(
            {
                "benchmarks/one/__init__.py": "BENCHMARK = 1\nclass Step: ...\n",
                "benchmarks/images/split.py": "class Split: ...\n",
                "training/step.py": "class Step: ...\n",
                "spec/data.py": "class Split: ...\n",
            },
            [
                "Split: tfperf/benchmarks/images/split.py:1, tfperf/spec/data.py:1",
                "Step: tfperf/benchmarks/one/__init__.py:2, tfperf/training/step.py:1",
            ],
            id="a benchmark's and that of a shared room",
        ),
    ],
)
def test_finds_repeated_class_names(tmp_path: pathlib.Path, sources: Mapping[str, str], found: list[str]) -> None:
    for name, source in sources.items():
        path = tmp_path / "tfperf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    assert repeated(tmp_path / "tfperf") == found


def repeated(package: pathlib.Path) -> list[str]:
    """The names of several classes, with their places. What each benchmark has, such as `Options`, may recur."""
    places: dict[str, list[tuple[pathlib.Path, int]]] = collections.defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        for name, line in classes(path):
            places[name].append((path, line))
    return [
        f"{name}: {', '.join(f'{path.relative_to(package.parent).as_posix()}:{line}' for path, line in where)}"
        for name, where in sorted(places.items())
        if len(where) > 1 and not of_each_benchmark([path for path, _ in where], package)
    ]


def classes(path: pathlib.Path) -> Iterator[tuple[str, int]]:
    """The classes in a file with their lines, nested ones too."""
    for node in ast.walk(syntax.tree(path)):
        if isinstance(node, ast.ClassDef):
            yield node.name, node.lineno


def of_each_benchmark(paths: list[pathlib.Path], package: pathlib.Path) -> bool:
    """Whether each of these files belongs to a benchmark of its own."""
    owners = [path.relative_to(package).parts[:2] for path in paths]
    return len(set(owners)) == len(owners) and all(
        owner[0] == "benchmarks" and holds_a_benchmark(package.joinpath(*owner)) for owner in owners
    )


def holds_a_benchmark(folder: pathlib.Path) -> bool:
    """Whether a package of benchmarks/ is one benchmark's own rather than shared."""
    opened = folder / "__init__.py"
    return opened.is_file() and "\nBENCHMARK = " in f"\n{opened.read_text(encoding='utf-8')}"
