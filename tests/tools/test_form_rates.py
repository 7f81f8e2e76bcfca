"""What the measurement of compiled forms makes of its numbers; the measurement itself takes minutes."""

import importlib.util
import pathlib
import sys
from types import ModuleType

import pytest

PATH = pathlib.Path(__file__).parents[2] / "tools" / "form_rates.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("form_rates", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["form_rates"] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


def test_compares_the_fastest_forms_that_are_accurate_enough(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {
        "function-float32": bench.Measured(per_s={1: [10.0, 20.0, 10.0]}, quality=1.0, agreement=1.0),
        "graph-float32": bench.Measured(per_s={1: [20.0, 40.0, 22.0]}, quality=0.995, agreement=0.995),
        "litert-int8": bench.Measured(per_s={1: [90.0, 90.0, 90.0]}, quality=0.95, agreement=0.95),
        "openvino-float32": bench.Measured(per_s={1: [25.0, 50.0, 25.0]}, quality=1.0, agreement=1.0),
    }
    refused = {"openvino-int8": "No module named 'nncf'; pip install nncf"}
    goals = {bench.OPENVINO_FORM: 0.95, bench.PLAIN_FUNCTION: 2}
    ratios = bench.report(measured, refused, samples="images", batch_sizes=(1,), goals=goals)
    assert capsys.readouterr().out.splitlines() == [
        "images per second          batch 1     right     agree",
        "function-float32              10.0    100.0%    100.0%",
        "graph-float32                 22.0     99.5%     99.5%",
        "litert-int8                   90.0     95.0%     95.0%",
        "openvino-float32              25.0    100.0%    100.0%",
        "openvino-int8           unavailable: No module named 'nncf'; pip install nncf",
        "batch 1, fastest and 99% as good as float32: graph-float32 (tfperf), openvino-float32 (OpenVINO)",
    ]
    assert ratios == {
        "images/s at batch 1, chosen form / fastest OpenVINO form": {"value": 0.8, "goal": ">= 0.95"},
        "images/s at batch 1, chosen form / tf.function": {"value": 2.0, "goal": ">= 2"},
    }


def test_only_what_may_be_the_fastest_accurate_form_is_measured_again(bench: ModuleType) -> None:
    rates = {
        "function-float32": ({1: [10.0], 8: [10.0]}, 1.0),  # always: the others are compared with it
        "xla-float32": ({1: [11.0], 8: [80.0]}, 1.0),  # near the fastest at batch 8 only
        "graph-float32": ({1: [50.0, 50.0], 8: [100.0, 100.0]}, 1.0),
        "xla-bfloat16": ({1: [10.0, 45.0], 8: [10.0, 10.0]}, 1.0),  # held up in one round
        "graph-bfloat16": ({1: [29.0], 8: [59.0]}, 1.0),
        "litert-int8": ({1: [900.0], 8: [900.0]}, 0.5),
        "openvino-float32": ({1: [1.0], 8: [1.0]}, 1.0),
        "openvino-int8": ({1: [2.0], 8: [2.0]}, 1.0),
    }
    measured = {name: bench.Measured(per_s=per_s, quality=q, agreement=q) for name, (per_s, q) in rates.items()}
    assert bench.near_the_fastest(measured) == [
        "function-float32",
        "xla-float32",
        "graph-float32",
        "xla-bfloat16",
        "openvino-int8",
    ]
