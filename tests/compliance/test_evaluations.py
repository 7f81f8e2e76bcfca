"""The directory of an evaluation is checked against its manifest; it is never an MLPerf result."""

import pathlib

from tests.evaluation.test_loads import Finite, run
from tfperf import manifest, result, spec
from tfperf.cli import check
from tfperf.compliance import checker
from tfperf.reporting import evaluation_table


def evaluated() -> result.EvaluateResult:
    (phase,) = run(spec.ConstantRate(requests_per_s=(1000.0,), duration_s=0.1), model=Finite(0.0))
    judged = result.Judged(executable="as_given", values={"accuracy": 0.5}, examples=10)
    curve = result.LoadCurve(
        executable="as_given", batch_size=4, instances=1, points=((1.0, 2.0),), bound_ns=5e6, most_within_bound=1.0
    )
    return result.EvaluateResult(
        benchmark="mine",
        valid=True,
        reasons=(),
        status="success",
        config={},
        environment={"code_version": "1"},
        measured="model",
        judged=(judged,),
        phases=(phase,),
        curves=(curve,),
    )


def test_an_evaluation_is_checked_by_its_files(tmp_path: pathlib.Path) -> None:
    outcome = evaluated()
    result.write(tmp_path / "result.json", outcome)
    manifest.write(tmp_path, division="internal", code_version="1")
    assert result.read(tmp_path / "result.json") == outcome
    (verdict,) = checker.check(tmp_path)
    assert (verdict.kind, verdict.division, verdict.structure, verdict.good) == ("evaluate", "internal", "ok", True)
    assert next(iter(check.report([verdict]))).startswith("STRUCTURE OK")
    (tmp_path / "result.json").write_text((tmp_path / "result.json").read_text(encoding="utf-8") + " ")
    assert checker.check(tmp_path)[0].structure == "broken"


def test_the_table_has_the_quality_the_loads_and_the_curve() -> None:
    text = evaluation_table.evaluate_table(evaluated(), run_dir=pathlib.Path("runs/x"))
    assert text.startswith("VALID internal evaluation of mine, not an MLPerf result\n\nexecutable  examples  accuracy")
    assert "constant_rate  1000 requests/s  as_given" in text
    assert "P99 <= 5 ms" in text
    assert evaluation_table.row(evaluated().phases[0])["p99_ns"] is None
