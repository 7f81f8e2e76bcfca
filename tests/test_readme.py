"""Every example in every README works as written, and nothing stands in a README that no test runs."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import typing

import pytest

from tests import readmes, test_imports
from tests.comparison import written_runs
from tests.readmes import ROOT, Block, Command
from tfperf import config, spec

LONGEST_README = 200  # lines of the first page
VERBS_WITH_CONFIGS = ("train", "infer", "evaluate", "sweep")
NOT_OURS = {"tensorboard --logdir runs": "tensorboard", "pip install tensorboard-plugin-profile": "pip"}
EXAMPLES = {path.name: path for path in (ROOT / "tests" / "examples").glob("*.py")}
BLOCKS, COMMANDS = readmes.blocks(), readmes.commands()
# A short measurement of one form, without the search for the fastest.
BRIEF = ("min_duration_s=1", "min_queries=64", "executable=function-float32")
BRIEFLY = tuple(f"--set={override}" for override in BRIEF)
INSIDE = ROOT / "tfperf" / "README.md"


def where(of: Block | Command) -> str:
    return of.where


def run(*command: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True)


def tfperf(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    return run("-m", "tfperf", *arguments, cwd=cwd)


# What is printed exactly as shown: errors and dry runs. Everything else is compared by its labels, which stay the same
# while the numbers differ.
def is_exact(command: Command) -> bool:
    return "--dry_run" in command.words or command.output[0].startswith(f"{' '.join(command.words[:2])}: ")


def is_search(command: Command) -> bool:
    return command.words[:2] == ("tfperf", "infer") and any("queries/s" in line for line in command.output)


# The yaml of the newcomer's benchmark is trained and served below.
# That of Prometheus is checked by promtool in tests/history/test_prometheus.py.
OTHERS_YAML = ("my_benchmarks.", "scrape_configs:")
YAML = [each for each in BLOCKS if each.language == "yaml" and not any(mark in each.text for mark in OTHERS_YAML)]
WITH_OUTPUT = [command for command in COMMANDS if command.output]
EXACT = [command for command in WITH_OUTPUT if is_exact(command)]
SCORED = [command for command in WITH_OUTPUT if "--runs" in command.words]  # tests/compliance/test_results.py
TRAINED = [each for each in WITH_OUTPUT if each.words[:2] == ("tfperf", "train") and each not in [*EXACT, *SCORED]]
SEARCHED = [command for command in WITH_OUTPUT if is_search(command)]
SERVED = [command for command in WITH_OUTPUT if command.words[:2] == ("tfperf", "infer") and command not in SEARCHED]
LISTED = [each for each in WITH_OUTPUT if each.words[:2] in (("tfperf", "history"), ("tfperf", "serve-metrics"))]
SWEPT = [command for command in WITH_OUTPUT if command.words[:2] == ("tfperf", "sweep")]
CHECKED = [command for command in WITH_OUTPUT if command.words[:2] == ("tfperf", "check")]
COMPARED = [command for command in WITH_OUTPUT if command.words[:2] == ("tfperf", "compare")]
OF_EXAMPLES = [command for command in WITH_OUTPUT if command.words[1] in EXAMPLES]  # tests/examples/test_examples.py


def test_the_first_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= LONGEST_README


@pytest.mark.parametrize("path", readmes.PATHS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_config_and_tool_exists(path: pathlib.Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "@@" not in text, "something was left to fill in"
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    configs = re.findall(r"`((?:sweep-)?(?:resnet50|bert|ssd|retinanet)-(?!99|v1)[a-z0-9-]+)`", text)
    assert set(configs) <= set(config.names())
    tools = re.findall(r"\btools/([a-z_]+(?:\.\w+)?)", text)
    assert [tool for tool in tools if not (ROOT / "tools" / tool).exists()] == []


def test_every_config_is_described_by_its_header() -> None:
    for name in config.names():
        header = config.header(name).splitlines()
        assert header[0].startswith(f"tfperf {config.verb(name)} --config {name}"), name
        begins = [line.partition(":")[0] for line in header]
        assert {"Expected", "Machine", "Time"} <= set(begins), name


@pytest.mark.parametrize("block", BLOCKS, ids=where)
def test_every_block_is_of_a_kind_that_is_tested(block: Block) -> None:
    assert block.language in ("console", "python", "yaml", "text"), "give the block a language, and a test that runs it"


def test_every_output_is_tested() -> None:
    tested = [*LISTED, *EXACT, *SCORED, *TRAINED, *SEARCHED, *SERVED, *SWEPT, *CHECKED, *COMPARED, *OF_EXAMPLES]
    assert [command.line for command in WITH_OUTPUT if command not in tested] == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=where)
def test_python_is_a_program_that_is_run(block: Block) -> None:
    if any(block.text in path.read_text(encoding="utf-8") for path in EXAMPLES.values()):
        return  # tests/examples/test_examples.py
    ours = block.where.startswith("tfperf/README.md")
    assert ours and ("BENCHMARK = " in block.text or "tfperf.train(" in block.text), "put it into tests/examples"


@pytest.mark.parametrize("block", YAML, ids=where)
def test_yaml_is_a_config(block: Block, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "shown.yaml").write_text(block.text, encoding="utf-8")
    verb = config.verb(str(tmp_path / "shown.yaml"))
    done = tfperf(verb, f"--config={tmp_path / 'shown.yaml'}", "--dry_run", cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "text"], ids=where)
def test_text_is_the_layout_or_the_layers(block: Block) -> None:
    lines = block.text.splitlines()
    if lines[0] == "tfperf/":
        folder = ROOT
        for line in lines:
            name = line.split()[0]
            folder = ROOT / "tfperf" if line.startswith(" ") else ROOT
            assert (folder / name).exists(), name
            assert (folder / name).is_dir() == name.endswith("/"), name
        rooms = {line.split()[0].removesuffix("/").removesuffix(".py") for line in lines if line.startswith("  ")}
        missing = {room for layer in test_imports.LAYERS.values() for room in layer if exists(room)} - rooms
        assert missing <= {
            "errors",
            "workspace",
            "manifest",
            "loadgen_log",
            "telemetry_log",
            "sweep_files",
            *test_imports.LAYERS[0],
        }
        return
    layers = {int(line.split()[0]): set(line.split()[1:]) for line in lines}
    assert layers == {layer: {r for r in rooms if exists(r)} for layer, rooms in test_imports.LAYERS.items()}


def exists(room: str) -> bool:
    return (ROOT / "tfperf" / room).is_dir() or (ROOT / "tfperf" / f"{room}.py").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.where} {' '.join(command.words[:4])}")
def test_every_command_is_accepted(
    command: Command, folder: pathlib.Path, tmp_path: pathlib.Path, request: pytest.FixtureRequest
) -> None:
    program, *arguments = command.words
    if program == "python" and arguments[0].startswith("tools/"):
        program, *arguments = arguments
    if command.line in NOT_OURS:
        assert importlib.util.find_spec(NOT_OURS[command.line])
    elif program == "python":
        assert arguments[0] in EXAMPLES
    elif program.startswith("tools/"):
        tool = ROOT / program
        assert os.access(tool, os.X_OK)
        described = tool.read_text(encoding="utf-8")
        flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
        assert [flag for flag in flags if not re.search(rf"{flag}\b", described)] == []
    elif program == "tfperf" and arguments[0] in VERBS_WITH_CONFIGS:
        done = tfperf(*arguments, "--dry_run", cwd=folder)
        assert done.returncode == (2 if command in EXACT and "--dry_run" not in arguments else 0), done.stderr
    elif program == "tfperf" and arguments[:2] == ["prepare", "shapes"]:
        done = tfperf(*arguments, "--data_dir=d", "--train_examples=8", "--eval_examples=8", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    elif program == "tfperf" and arguments[0] == "prepare" and arguments[2] in ("--source", "--data_dir"):
        done = tfperf(*arguments, cwd=tmp_path)
        assert (done.returncode, arguments[3] in done.stderr) == (2, True), done.stderr
    elif program == "tfperf" and arguments[0] == "serve-metrics":
        done = tfperf(*arguments, cwd=tmp_path)
        assert done.returncode == (0 if "--write_rules" in command.line else 2), done.stderr
    elif program == "tfperf" and (arguments[0] == "history" or "--history" in command.line):
        done = tfperf(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert re.search("can't be listed|is not a run directory", done.stderr), done.stderr
    elif program == "tfperf" and "--repeats=5" in arguments:
        done = tfperf(*arguments, cwd=tmp_path)
        assert (done.returncode, "left no result. Its last messages" in done.stderr) == (1, True), done.stderr
    elif program == "tfperf" and arguments[0] in ("compare", "report", "plan"):
        done = tfperf(*arguments, cwd=tmp_path)
        assert (done.returncode, "is not a run directory" in done.stderr) == (2, True), done.stderr
    elif program == "tfperf" and arguments == ["check", "runs"]:
        request.getfixturevalue("trained")
        done = tfperf(*arguments, cwd=folder)
        assert done.returncode == 0, done.stdout
    else:
        assert command in CHECKED or arguments == ["list"], "no test knows this command"
        assert command in CHECKED or tfperf(*arguments, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("command", EXACT, ids=where)
def test_errors_and_dry_runs_print_what_is_shown(command: Command, tmp_path: pathlib.Path) -> None:
    done = tfperf(*command.words[1:], cwd=tmp_path)
    assert readmes.matches(command.output, done.stdout or done.stderr), done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Holds the files that the section on adding a benchmark shows."""
    folder = tmp_path_factory.mktemp("newcomer")
    section = INSIDE.read_text(encoding="utf-8").partition("## Add a benchmark")[2].partition("\n## ")[0]
    for path in ("my_benchmarks/my_benchmark.py", "my_benchmark.yaml", "my_serving.yaml"):
        shown = re.search(rf"`{pathlib.PurePath(path).name}`[^`]*:\n\n```\w+\n(.*?)```", section, re.DOTALL)
        assert shown, f"the section shows no {path}"
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(shown[1], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(folder: pathlib.Path) -> str:
    """What is printed when the newcomer's benchmark is trained."""
    done = tfperf("train", "--config=my_benchmark.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


@pytest.fixture(scope="module")
def served(folder: pathlib.Path, trained: str) -> str:
    """What is printed when the trained model is served."""
    done = tfperf("infer", "--config=my_serving.yaml", "--weights=runs", *BRIEFLY, cwd=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stderr + done.stdout


def test_a_newcomer_adds_a_benchmark_with_one_module_and_yaml_files(trained: str, served: str) -> None:
    assert "\nVALID open run of my_benchmark" in trained
    assert "\nVALID open Offline run of my_benchmark" in served


@pytest.mark.parametrize("command", TRAINED, ids=where)
def test_training_prints_what_is_shown(command: Command, trained: str) -> None:
    assert readmes.labels_not_in(trained, command) == []


@pytest.mark.parametrize("command", SERVED, ids=where)
def test_serving_prints_what_is_shown(command: Command, served: str) -> None:
    assert readmes.labels_not_in(served, command) == []
    shown = set(re.findall(r"^(\w+-(?:float32|bfloat16|float16|int8))  ", "\n".join(command.output), re.MULTILINE))
    assert shown <= set(typing.get_args(spec.Executable))


@pytest.mark.slow
@pytest.mark.timeout(900)  # ten runs or more, each in a process that starts TensorFlow
@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("command", SEARCHED, ids=where)
def test_a_search_for_the_rate_prints_what_is_shown(command: Command, folder: pathlib.Path) -> None:
    # A bound and a number of queries with which a run can be valid on a busy machine.
    server = ("--set=scenario={server: {target_qps: auto, latency_bound_ms: 200}}", "--set=min_queries=700")
    done = tfperf(
        "infer", "--config=my_serving.yaml", "--weights=runs", *BRIEFLY, *server, "--output_dir=searched", cwd=folder
    )
    assert readmes.labels_not_in(done.stderr + done.stdout, command) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("trained")
def test_a_sweep_prints_what_is_shown(folder: pathlib.Path) -> None:
    (folder / "sweep.yaml").write_text(
        "base: my_serving.yaml\n"
        "set: {min_duration_s: 1, min_queries: 64, executable: function-float32}\n"
        "space:\n  batch_sizes: {choice: [[1], [4]]}\n  instances: {choice: [1, 2]}\n"
        "objective: throughput\nsearch: grid\nmax_trials: 2\nrepeats: 2\n",
        encoding="utf-8",
    )
    done = tfperf("sweep", "--config=sweep.yaml", "--weights=runs", cwd=folder)
    assert done.returncode == 0, done.stderr
    for command in SWEPT:
        assert readmes.labels_not_in(done.stderr + done.stdout, command) == []


@pytest.mark.data
@pytest.mark.parametrize("command", CHECKED, ids=where)
def test_checking_a_published_result_prints_what_is_shown(
    command: Command, shared_data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    published = pathlib.PurePath(command.words[2])
    assert published.parts[:3] == ("training_results_v1.0", "Intel", "results")
    (tmp_path / published.parents[1]).mkdir(parents=True)
    system = shared_data / "mlperf-logs" / "training" / "v1.0" / "Intel" / published.parent.name
    (tmp_path / published.parent).symlink_to(system)
    done = tfperf(*command.words[1:], cwd=tmp_path)
    assert readmes.matches(command.output, done.stdout), done.stdout


@pytest.mark.parametrize("command", COMPARED, ids=where)
def test_a_comparison_prints_what_is_shown(command: Command, tmp_path: pathlib.Path) -> None:
    sides = [
        written_runs.write_side(tmp_path / name, latency_ms=latency_ms, seed=10 * number, config={"benchmark": name})
        for number, (name, latency_ms) in enumerate((("baseline", 1.0), ("candidate", 1.2)))
    ]
    done = tfperf("compare", *map(str, sides[0]), "--", *map(str, sides[1]), "--change=config.benchmark", cwd=tmp_path)
    assert (done.returncode, readmes.labels_not_in(done.stdout, command)) == (5, [])


def test_python_that_calls_tfperf_runs(folder: pathlib.Path) -> None:
    (shown,) = (block for block in BLOCKS if block.language == "python" and "tfperf.train(" in block.text)
    program = shown.text.replace("resnet50-mini-offline", "my_serving.yaml").replace(
        "resnet50-mini", "my_benchmark.yaml"
    )
    brief = ", ".join(f'"{override}"' for override in BRIEF)
    program = program.replace("max_epochs=6", "max_epochs=40").replace('"min_duration_s=10"', brief)
    assert brief in program
    done = run("-c", program, cwd=folder)
    assert done.returncode == 0, done.stderr
