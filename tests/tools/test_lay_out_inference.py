"""The submission tree of inference runs."""

import hashlib
import importlib.util
import json
import pathlib
import types

import pytest

from tests.compliance import bert_serving_logs, retinanet_serving_logs
from tests.compliance.serving_logs import ServedRun

TOOL = pathlib.Path(__file__).parents[2] / "tools/lay_out_inference.py"
ACCURACY_LINE = "accuracy=77.000%, good=38500, total=50000\n"

OF_ONE_RUN = [
    "README.md",
    "TEST01/accuracy/accuracy.txt",
    "TEST01/accuracy/mlperf_log_accuracy.json",
    "TEST01/performance/run_1/mlperf_log_detail.txt",
    "TEST01/performance/run_1/mlperf_log_summary.txt",
    "TEST01/verify_accuracy.txt",
    "TEST01/verify_performance.txt",
    "TEST04/performance/run_1/mlperf_log_detail.txt",
    "TEST04/performance/run_1/mlperf_log_summary.txt",
    "TEST04/verify_performance.txt",
    "accuracy/accuracy.txt",
    "accuracy/mlperf_log_accuracy.json",
    "accuracy/mlperf_log_detail.txt",
    "accuracy/mlperf_log_summary.txt",
    "measurements.json",
    "performance/run_1/mlperf_log_detail.txt",
    "performance/run_1/mlperf_log_summary.txt",
    "user.conf",
]


@pytest.fixture(scope="module")
def tool() -> types.ModuleType:
    found = importlib.util.spec_from_file_location("lay_out_inference", TOOL)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _run(folder: pathlib.Path, scenario: str, **changes: object) -> pathlib.Path:
    write = ServedRun(folder=folder)
    run_dir = write(scenario, scenario=scenario, **changes)
    (run_dir / "user.conf").write_text("*.Offline.target_qps = 50\n")
    (run_dir / "accuracy" / "accuracy.txt").write_text(ACCURACY_LINE)
    write.seal(run_dir)
    return run_dir


def _lay_out(tool: types.ModuleType, tree: pathlib.Path, *run_dirs: pathlib.Path) -> int:
    code: int = tool.main([*map(str, run_dirs), "--submitter=ACME", "--system=box", f"--output={tree}"])
    return code


def _files(folder: pathlib.Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_lays_out_a_closed_submission(
    tool: types.ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenarios = ("singlestream", "multistream", "offline")
    run_dirs = [_run(tmp_path, scenario) for scenario in scenarios]
    tree = tmp_path / "tree"
    assert _lay_out(tool, tree, *run_dirs) == 0
    assert capsys.readouterr().out == "".join(f"good: {run_dir}\n" for run_dir in run_dirs) + f"{tree}\n"
    places = [f"results/box/resnet/{name}" for name in ("MultiStream", "Offline", "SingleStream")]
    expected = [f"{place}/{file}" for place in places for file in OF_ONE_RUN]
    assert _files(tree / "closed" / "ACME") == [*expected, "src/README.md", "systems/box.json"]


@pytest.mark.slow
def test_lays_out_a_closed_submission_of_bert_with_test01(
    tool: types.ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dirs = [bert_serving_logs.write_run(tmp_path / name, name) for name in ("singlestream", "offline")]
    tree = tmp_path / "tree"
    assert _lay_out(tool, tree, *run_dirs) == 0
    assert capsys.readouterr().out == "".join(f"good: {run_dir}\n" for run_dir in run_dirs) + f"{tree}\n"
    of_one_run = [file for file in OF_ONE_RUN if not file.startswith("TEST04")]
    places = [f"results/box/bert-99/{name}" for name in ("Offline", "SingleStream")]
    expected = [f"{place}/{file}" for place in places for file in of_one_run]
    assert _files(tree / "closed" / "ACME") == [*expected, "src/README.md", "systems/box.json"]
    lines = (tree / "closed/ACME/results/box/bert-99/Offline/accuracy/accuracy.txt").read_text().splitlines()
    assert json.loads(lines[0])["f1"] >= 89.965


def test_lays_out_a_closed_submission_of_retinanet_as_its_last_round_wants_it(
    tool: types.ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenarios = ("singlestream", "multistream", "offline")
    run_dirs = [retinanet_serving_logs.write_run(tmp_path / name, name) for name in scenarios]
    tree = tmp_path / "tree"
    assert _lay_out(tool, tree, *run_dirs) == 0
    assert capsys.readouterr().out == "".join(f"good: {run_dir}\n" for run_dir in run_dirs) + f"{tree}\n"
    parts = {
        "compliance": [file for file in OF_ONE_RUN if file.startswith("TEST01")],
        "measurements": ["README.md", "box.json", "user.conf"],
        "results": [file for file in OF_ONE_RUN if file.startswith(("accuracy", "performance"))],
    }
    names = ("MultiStream", "Offline", "SingleStream")
    expected = [
        f"{part}/box/retinanet/{name}/{file}" for part, files in parts.items() for name in names for file in files
    ]
    assert _files(tree / "closed" / "ACME") == sorted([*expected, "code/README.md", "systems/box.json"])
    lines = (tree / "closed/ACME/results/box/retinanet/Offline/accuracy/accuracy.txt").read_text().splitlines()
    assert lines[0] == "mAP=39.764%"
    # With these seeds it is of round v5.1, and with those of the current one not.
    current = retinanet_serving_logs.write_run(tmp_path / "current", "offline", seeds={})
    assert _lay_out(tool, tmp_path / "again", current) == 0
    text = "The seeds of the performance run are those of v6.1; the last round with this benchmark is v5.1."
    assert text in capsys.readouterr().out
    resnet = _run(tmp_path / "resnet", "singlestream")
    assert _lay_out(tool, tmp_path / "both", run_dirs[0], resnet) == 2
    assert "All runs of a submission must be of one round of MLPerf. Got" in capsys.readouterr().err


def test_accuracy_logs_keep_both_ends_and_the_digest_of_the_whole(
    tool: types.ModuleType, tmp_path: pathlib.Path
) -> None:
    run_dir, tree = _run(tmp_path, "offline"), tmp_path / "tree"
    assert _lay_out(tool, tree, run_dir) == 0
    place = tree / "closed/ACME/results/box/resnet/Offline"
    whole = (run_dir / "accuracy/mlperf_log_accuracy.json").read_bytes()
    kept = (place / "accuracy/mlperf_log_accuracy.json").read_bytes()
    assert kept == whole[:4096] + b"\n\n...\n\n" + whole[-4096:]
    digest = hashlib.sha256(whole).hexdigest()
    assert (place / "accuracy/accuracy.txt").read_text() == f"{ACCURACY_LINE}\nhash={digest}\n"
    sampled = (run_dir / "TEST01/performance/mlperf_log_accuracy.json").read_bytes()
    assert (place / "TEST01/accuracy/mlperf_log_accuracy.json").read_bytes() == sampled
    assert (place / "TEST01/accuracy/accuracy.txt").read_text() == f"\nhash={hashlib.sha256(sampled).hexdigest()}\n"


def test_the_evidence_of_responses_that_agree_in_accuracy_is_submitted(
    tool: types.ModuleType, tmp_path: pathlib.Path
) -> None:
    run_dir, tree = _run(tmp_path, "offline"), tmp_path / "tree"
    evidence = ("baseline_accuracy.txt", "compliance_accuracy.txt")
    (run_dir / "TEST01" / "accuracy").mkdir()
    for name in (*evidence, "mlperf_log_accuracy_baseline.json"):
        (run_dir / "TEST01" / "accuracy" / name).write_text(f"{name}\n")
    ServedRun(folder=tmp_path).seal(run_dir)
    assert _lay_out(tool, tree, run_dir) == 0
    submitted = tree / "closed/ACME/results/box/resnet/Offline/TEST01/accuracy"
    assert _files(submitted) == sorted([*evidence, "accuracy.txt", "mlperf_log_accuracy.json"])
    assert (submitted / "baseline_accuracy.txt").read_text() == "baseline_accuracy.txt\n"


@pytest.mark.parametrize(("scenario", "suites"), [("offline", "edge"), ("server", "datacenter,edge")])
def test_the_system_is_described_by_text_in_every_field(
    tool: types.ModuleType, tmp_path: pathlib.Path, scenario: str, suites: str
) -> None:
    tree = tmp_path / "tree"
    assert _lay_out(tool, tree, _run(tmp_path, scenario)) == 0
    system = json.loads((tree / "closed/ACME/systems/box.json").read_text())
    assert len(system) == 35
    assert all(isinstance(value, str) and value for value in system.values())
    assert (system["division"], system["submitter"], system["system_type"]) == ("closed", "ACME", suites)
    measurements = json.loads(next(tree.rglob("measurements.json")).read_text())
    assert all(measurements.values())


def test_an_open_submission_holds_no_compliance_tests(tool: types.ModuleType, tmp_path: pathlib.Path) -> None:
    tree = tmp_path / "tree"
    assert _lay_out(tool, tree, _run(tmp_path, "offline", division="open")) == 0
    expected = [file for file in OF_ONE_RUN if not file.startswith("TEST")]
    assert _files(tree / "open/ACME/results/box/resnet/Offline") == expected


def test_says_what_is_wrong_with_the_runs_and_what_is_lacking(
    tool: types.ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = _run(tmp_path, "offline", changes={"performance": {"effective_qsl_rng_seed": 1}})
    assert _lay_out(tool, tmp_path / "tree", bad) == 0
    assert capsys.readouterr().out == (
        "LACKING: to be closed, resnet50 also needs runs of singlestream, multistream.\n"
        f"NOT GOOD: {bad}\n"
        "  - The seeds of the performance run are not those of any round; the current round is v6.1.\n"
        f"{tmp_path / 'tree'}\n"
    )


def test_impossible_requests_are_explained(
    tool: types.ModuleType, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed, tree = _run(tmp_path, "offline"), tmp_path / "tree"
    opened = _run(tmp_path, "singlestream", division="open")
    mini = _run(tmp_path / "mini", "offline", benchmark="resnet50_mini", division="open")
    incomplete = _run(tmp_path, "multistream")
    (incomplete / "user.conf").unlink()
    cases = [
        ((tmp_path / "no",), tree, "is not a run directory"),
        ((closed, opened), tree, "All runs of a submission must be of one division, closed or open."),
        ((closed, closed), tree, "are runs of the same benchmark and scenario. Pass one of them."),
        ((mini,), tree, "resnet50_mini is not a benchmark of MLPerf Inference and can't be submitted."),
        ((incomplete,), tree, "user.conf is missing."),
        ((closed,), tmp_path, "exists. Choose another --output."),
    ]
    for run_dirs, output, message in cases:
        assert _lay_out(tool, output, *run_dirs) == 2
        assert message in capsys.readouterr().err
    assert not tree.exists()
