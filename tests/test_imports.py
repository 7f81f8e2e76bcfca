"""Decides which module may import which, and which module owns each third-party package."""

import ast
import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

import tfperf
from tests import syntax

PACKAGE = pathlib.Path(tfperf.__file__).parent

# A room is a module or package right under tfperf. Imports go down; rooms in one layer don't import each other.
LAYERS = {
    0: {"disk", "field_types", "git_lfs", "json_text", "notebook", "sign_of_life", "whole_file"},
    1: {"spec", "events", "result", "errors", "sweep_files"},
    2: {
        *("benchmarks", "config", "system", "workspace", "manifest", "loadgen_log", "telemetry_log"),
    },
    3: {"training", "inference", "compliance", "telemetry", "analysis", "reporting", "stored"},
    4: {"run", "serving", "callback", "evaluation", "tuning", "comparison", "history", "summary", "planning"},
    5: {"cli"},
}
LAYER = {room: layer for layer, rooms in LAYERS.items() for room in rooms}
STANDARD_LIBRARY_ONLY = (0, 1)  # layers that import no other package
TOP = 6  # of `tfperf` itself, `python -m tfperf` and whatever has no layer

# They change every year, and only the owner has to change with them.
OWNERS = {
    "absl.flags": "tfperf.cli",
    "yaml": "tfperf.config",
    "mlperf_loadgen": "tfperf.inference.loadgen",
    "ai_edge_litert": "tfperf.inference.forms",
    "mlperf_logging": "tfperf.compliance",
    "keras_tuner": "tfperf.tuning",
    "tensorboard": "tfperf.reporting",
    "tensorflow.summary": "tfperf.reporting",
    "tokenizers": "tfperf.benchmarks.text",
    "safetensors": "tfperf.benchmarks.checkpoints",
    "hotcoco": "tfperf.benchmarks.detection.coco",
    "psutil": "tfperf.telemetry.machine",
    "pynvml": "tfperf.telemetry.nvml",
    "prometheus_client": "tfperf.reporting.prometheus",
    "ruptures": "tfperf.analysis.change_points",
}

# An internal sweep can't reach code that writes MLLOG lines, not even through other modules.
OUT_OF_REACH = {"tuning": {"compliance", "run", "callback"}}

NAMELESS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Import:
    """`module` imports `target`, a module or a name in one."""

    module: str
    target: str
    line: int


def test_imports_keep_the_rules() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    "program",
    [
        "import tfperf",
        "import tfperf.cli.main",
        "import tfperf.config",
        "from tfperf import benchmarks; [benchmarks.get(name) for name in benchmarks.names()]",
    ],
)
def test_starts_without_heavy_packages(program: str) -> None:
    heavy = (
        "{'tensorflow', 'keras', 'tensorflow_datasets', 'mlperf_logging', 'mlperf_loadgen', 'ai_edge_litert', "
        "'keras_tuner', 'tensorboard', 'PIL', 'tokenizers', 'hotcoco', 'ruptures', 'prometheus_client'}"
    )
    program += f"; import sys; print(*sorted({heavy} & sys.modules.keys()))"
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        pytest.param(
            {
                "training/loop.py": "import os\n\ndef fit():\n    from tfperf.compliance import mllog\n",
                "compliance/mllog.py": "",
            },
            ["tfperf/training/loop.py:4: training (layer 3) may not import tfperf.compliance.mllog (layer 3)."],
            id="a neighbour, inside a function",
        ),
        pytest.param(
            {"spec.py": "from . import run\n", "run.py": ""},
            ["tfperf/spec.py:1: spec (layer 1) may not import tfperf.run (layer 4)."],
            id="upwards, relative",
        ),
        pytest.param(
            {
                "workspace.py": "import typing\nif typing.TYPE_CHECKING:\n    import tfperf.training.loop\n",
                "training/loop.py": "",
            },
            ["tfperf/workspace.py:3: workspace (layer 2) may not import tfperf.training.loop (layer 3)."],
            id="upwards, for types only",
        ),
        pytest.param(
            {"workspace.py": 'import importlib\nrun = importlib.import_module("tfperf.run")\n', "run.py": ""},
            ["tfperf/workspace.py:2: workspace (layer 2) may not import tfperf.run (layer 4)."],
            id="upwards, by name",
        ),
        pytest.param(
            {"workspace.py": "from tfperf import evaluate\n"},
            ["tfperf/workspace.py:1: workspace (layer 2) may not import tfperf.evaluate (layer 6)."],
            id="a public name",
        ),
        pytest.param(
            {"events.py": "import numpy as np\n"},
            ["tfperf/events.py:1: layer 1 imports the standard library only, not numpy."],
            id="a package in layer 1",
        ),
        pytest.param(
            {"run.py": "import tensorflow as tf\ntf.summary.flush()\nfrom absl import flags\nimport yaml.nodes\n"},
            [
                "tfperf/run.py:2: tensorflow.summary belongs to tfperf.reporting.",
                "tfperf/run.py:3: absl.flags belongs to tfperf.cli.",
                "tfperf/run.py:4: yaml belongs to tfperf.config.",
            ],
            id="packages that belong to others",
        ),
        pytest.param(
            {"inference/sut.py": "import mlperf_loadgen\n", "inference/loadgen.py": "import mlperf_loadgen\n"},
            ["tfperf/inference/sut.py:1: mlperf_loadgen belongs to tfperf.inference.loadgen."],
            id="a package that belongs to one module",
        ),
        pytest.param(
            {
                "tuning/grid.py": "from tfperf.training import loop\n",
                "training/loop.py": "import tfperf.run\n",
                "run.py": "",
            },
            [
                "tfperf/training/loop.py:1: training (layer 3) may not import tfperf.run (layer 4).",
                "tfperf/tuning/grid.py:1: tuning reaches run: tfperf.tuning.grid > tfperf.training.loop > tfperf.run.",
            ],
            id="out of reach, through another",
        ),
        pytest.param(
            {
                "training/__init__.py": "from tfperf.training.loop import fit\n",
                "training/clock.py": "import typing\nif typing.TYPE_CHECKING:\n    from tfperf.training import loop\n",
                "training/loop.py": "def fit():\n    from tfperf.training.clock import Clock\n",
                "training/pace.py": "from tfperf import training\n",
                "training/step.py": "from tfperf.training import pace\nfrom tfperf.training import step\n",
            },
            [
                "tfperf/training/clock.py:1: imports go in a circle: "
                "tfperf.training.clock > tfperf.training.loop > tfperf.training.clock.",
                "tfperf/training/step.py:1: imports go in a circle: tfperf.training.step > tfperf.training.step.",
            ],
            id="circles, inside a function and for types only",
        ),
        pytest.param(
            {"training/utils.py": "", "base.py": ""},
            [
                "tfperf/base.py:1: base is in no layer; give it one in tests/test_imports.py.",
                "tfperf/base.py:1: base says nothing; name what is in it.",
                "tfperf/training/utils.py:1: utils says nothing; name what is in it.",
            ],
            id="names that say nothing",
        ),
        pytest.param(
            {
                "__init__.py": "def __getattr__(name):\n    from tfperf import callback\n",
                "__main__.py": "from tfperf.cli import main\n",
                "cli/main.py": "import absl.flags\nfrom tfperf import config, run\nfrom tfperf.cli import train\n",
                "cli/train.py": "",
                "run.py": "import tensorflow as tf\nfrom tfperf import __version__, spec\ntf.constant(0)\n",
                "callback.py": "",
                "config.py": "import yaml\nfrom tfperf.spec import TrainSpec\n",
                "spec.py": "import json\n",
            },
            [],
            id="all is well",
        ),
    ],
)
def test_finds_what_breaks_the_rules(tmp_path: pathlib.Path, sources: Mapping[str, str], found: list[str]) -> None:
    for name, source in sources.items():
        path = tmp_path / "tfperf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    assert violations(tmp_path / "tfperf") == found


def violations(package: pathlib.Path) -> list[str]:
    """Every violation in the package, sorted by file and line."""
    modules = {module_name(path, package): path for path in package.rglob("*.py")}
    imports = [found for module, path in modules.items() for found in imports_of(module, path)]
    found = [
        *((module, 1, problem) for module in modules for problem in naming(module)),
        *((each.module, each.line, problem) for each in imports for problem in [*direction(each), *ownership(each)]),
        *((module, 1, problem) for module, problem in reach(imports, modules)),
        *((module, 1, problem) for module, problem in circles(imports, modules)),
    ]
    files = {module: path.relative_to(package.parent).as_posix() for module, path in modules.items()}
    ordered = sorted((files[module], line, problem) for module, line, problem in found)
    return [f"{file}:{line}: {problem}" for file, line, problem in ordered]


def naming(module: str) -> Iterator[str]:
    """Reports a name without meaning, and a room without a layer."""
    name = module.rpartition(".")[2]
    if name in NAMELESS:
        yield f"{name} says nothing; name what is in it."
    if module.count(".") == 1 and layer_of(module) == TOP and name != "__main__":
        yield f"{name} is in no layer; give it one in tests/test_imports.py."


def direction(found: Import) -> Iterator[str]:
    """Reports an import that does not go down."""
    here, there = layer_of(found.module), layer_of(found.target)
    room, package = room_of(found.module), found.target.partition(".")[0]
    if package == "tfperf" and room != room_of(found.target) and here <= there and here != TOP:
        yield f"{room} (layer {here}) may not import {found.target} (layer {there})."
    if package not in {"tfperf", *sys.stdlib_module_names} and here in STANDARD_LIBRARY_ONLY:
        yield f"layer {here} imports the standard library only, not {package}."


def ownership(found: Import) -> Iterator[str]:
    """Reports an import of a package that belongs to another module."""
    for package, owner in OWNERS.items():
        if within(found.target, package) and not within(found.module, owner):
            yield f"{package} belongs to {owner}."


def reach(imports: list[Import], modules: Mapping[str, pathlib.Path]) -> Iterator[tuple[str, str]]:
    """The modules from which imports lead to a forbidden room, with the path."""
    graph: dict[str, list[str]] = {}
    for found in imports:
        graph.setdefault(found.module, []).extend(loaded_by(found.target, modules))
    for module in modules:
        for room in sorted(OUT_OF_REACH.get(room_of(module), ())):
            path = path_to(room, from_module=module, graph=graph)
            if path:
                yield module, f"{room_of(module)} reaches {room}: {' > '.join(path)}."


def circles(imports: list[Import], modules: Mapping[str, pathlib.Path]) -> Iterator[tuple[str, str]]:
    """The circles of imports, each with its first module and the path. Imports in functions count, too."""
    graph: dict[str, list[str]] = {}
    for found in imports:
        targets = list(loaded_by(found.target, modules))
        # Importing a module also loads the package around it. That does not count as an import of the package.
        around = {target for target in targets[1:] if within(found.module, target)}
        graph.setdefault(found.module, []).extend(target for target in targets if target not in around)
    known: set[str] = set()
    for module in sorted(modules):
        path = circle_from(module, graph)
        if path and module not in known:
            known.update(path)
            yield module, f"imports go in a circle: {' > '.join(path)}."


def circle_from(module: str, graph: Mapping[str, list[str]]) -> list[str]:
    """The shortest chain of imports from a module back to it; empty when there is none."""
    paths = [[module]]
    seen: set[str] = set()
    for path in paths:
        for target in graph.get(path[-1], []):
            if target == module:
                return [*path, target]
            if target not in seen:
                seen.add(target)
                paths.append([*path, target])
    return []


def path_to(room: str, *, from_module: str, graph: Mapping[str, list[str]]) -> list[str]:
    """The shortest chain of imports from a module into a room; empty when there is none."""
    paths = [[from_module]]
    seen = {from_module}
    for path in paths:
        if room_of(path[-1]) == room:
            return path
        for target in graph.get(path[-1], []):
            if target not in seen:
                seen.add(target)
                paths.append([*path, target])
    return []


def loaded_by(target: str, modules: Mapping[str, pathlib.Path]) -> Iterator[str]:
    """The modules that an import loads: the target and the packages around it, except tfperf with its lazy names."""
    parts = target.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    return (name for name in names if name in modules)


def imports_of(module: str, path: pathlib.Path) -> Iterator[Import]:
    """Every import in a file, also in functions, and every use of a package that needs no import."""
    tree = syntax.tree(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tensorflow = {"tensorflow"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            tensorflow |= {alias.asname for alias in node.names if alias.name == "tensorflow" and alias.asname}
    for node in ast.walk(tree):
        for target in targets_of(node, package, tensorflow):
            yield Import(module=module, target=target, line=getattr(node, "lineno", 1))


def targets_of(node: ast.AST, package: str, tensorflow: set[str]) -> Iterator[str]:
    """The dotted names that one node of a syntax tree imports."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=name, names=names, level=level):
            around = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            source = ".".join([*around, *([name] if name else [])])
            yield from (f"{source}.{alias.name}" for alias in names if not alias.name.startswith("__"))
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            yield name
        case ast.Attribute(value=ast.Name(id=name), attr="summary") if name in tensorflow:
            yield "tensorflow.summary"


def module_name(path: pathlib.Path, package: pathlib.Path) -> str:
    """The dotted name of a file's module."""
    parts = ("tfperf", *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The second part of a dotted name."""
    return [*module.split("."), ""][1]


def layer_of(module: str) -> int:
    """The layer of a module of tfperf."""
    return LAYER.get(room_of(module), TOP)


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package's or that of something in it."""
    return name == package or name.startswith(f"{package}.")
