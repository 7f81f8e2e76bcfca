"""The official checker's messages as sentences."""

import json
import pathlib

import pytest
import yaml
from mlperf_logging import compliance_checker

from tfperf.compliance import explain, log

RULES = pathlib.Path(str(compliance_checker.__file__)).parent
TENSORS = ("pre_rnn", "post_rnn", "pred_embed", "dec_rnn", "joint_pred", "joint_enc", "joint_net")
TENSORS_RULE = f"failed test: sorted(s['initialized_tensors']) == sorted({list(TENSORS)})\ncurrent context[s]={{}}"


@pytest.fixture
def read(tmp_path: pathlib.Path):
    def read(*events: tuple[str, object, dict[str, object]]) -> log.Log:
        lines = [{"key": key, "value": value, "metadata": metadata, "time_ms": 1} for key, value, metadata in events]
        (tmp_path / "log.txt").write_text("".join(f":::MLLOG {json.dumps(line)}\n" for line in lines))
        return log.read(tmp_path / "log.txt")

    return read


def _message(text: str, found: log.Log) -> str:
    return explain.violation(text, log=found, loglines=()).message


def test_tensors_that_were_not_initialised_are_named(read) -> None:
    names = ("other", *TENSORS[2:], TENSORS[-1])
    found = read(*(("weights_initialization", None, {"tensor": name}) for name in names))
    assert _message(TENSORS_RULE, found) == (
        "weights_initialization must be logged once for each of 7 tensors, and is logged for 7; missing: post_rnn, "
        "pre_rnn; unexpected or repeated: joint_net, other."
    )
    assert _message(TENSORS_RULE, read()).endswith("missing: dec_rnn, joint_enc, joint_net and 4 more.")


def test_a_rule_about_the_whole_log_is_readable(read) -> None:
    assert _message("failed test: s['blocks'] ==\n  s['evaluations']\ncurrent context[s]={}", read()) == (
        "The log as a whole breaks the rule: blocks = evaluations."
    )


def test_a_loss_has_a_lowest_value(read) -> None:
    found = read(("eval_accuracy", 3.5, {}), ("eval_accuracy", 3.4, {}))
    rule = "Failed checks for eval_accuracy : (v['value'] <= 3.3) and v['value'] > 0.0"
    assert _message(rule, found) == "No eval_accuracy is at most 3.3 and above 0; the lowest is 3.4."


def test_no_rule_of_any_round_reads_as_code() -> None:
    rules = 0
    for path in RULES.glob("training_*/*.yaml"):
        text = path.read_text(encoding="utf-8")
        if path.parent.name == "training_0.7.0_warn":  # it is not yaml
            continue
        for item in yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)) or ():
            tests = item.get("KEY", {}).get("CHECK", ())
            for test in [tests] if isinstance(tests, str) else tests:
                rules += 1
                sentence = explain._sentence("the_key", test.strip(), 1)
                assert "v['" not in sentence and "s['" not in sentence and sentence.endswith("."), sentence
    assert rules > 1000
