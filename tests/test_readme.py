"""What the README tells to do works as written."""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The only code block of a language in the section on adding a benchmark."""
    section = README.partition("## Add a benchmark")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


def test_a_newcomer_adds_a_benchmark_with_one_module_and_one_yaml(tmp_path: pathlib.Path) -> None:
    package = tmp_path / "benchmarks_of_mine"
    package.mkdir()
    (package / "my_benchmark.py").write_text(block("python"), encoding="utf-8")
    (tmp_path / "my_benchmark.yaml").write_text(block("yaml"), encoding="utf-8")
    trained = subprocess.run(
        [sys.executable, "-m", "tfperf", "train", "--config=my_benchmark.yaml", "--format=json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert trained.returncode == 0, trained.stderr
    outcome = json.loads(trained.stdout)
    assert (outcome["benchmark"], outcome["valid"]) == ("my_benchmark", True)
    assert outcome["config"]["model"] == {"units": 32}


def test_every_config_and_tool_that_is_named_exists() -> None:
    configs = re.findall(r"--config ([a-z0-9-]+)(?![\w.]*/|[\w-]*\.yaml)", README)
    assert set(configs) <= {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    tools = re.findall(r"tools/([a-z_]+(?:\.py)?)", README)
    assert tools
    assert all((ROOT / "tools" / name).exists() for name in tools)


def test_the_loop_of_ones_own_is_the_one_that_is_tested() -> None:
    (shown,) = re.findall(r"```python\n(with tfperf\.measure\(.*?)```", README, re.DOTALL)
    assert shown in (ROOT / "tests" / "examples" / "custom_loop.py").read_text(encoding="utf-8")


def test_nothing_was_left_to_fill_in() -> None:
    assert "@@" not in README
