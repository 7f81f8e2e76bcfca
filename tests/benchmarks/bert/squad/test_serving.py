"""How question answering is served: the rules' figures, and a small network under LoadGen."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pathlib
import pickle

import keras
import numpy as np
import pytest

from tfperf import loadgen_log, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad import model, samples, serving
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.sources import ShapeQuestions
from tfperf.compliance import checker
from tfperf.errors import UsageError
from tfperf.inference import model_check
from tfperf.inference.weights import Weights
from tfperf.serving import measurement
from tfperf.workspace import Workspace

OPTIONS = SquadOptions(
    encoder=Encoder(
        hidden_size=32, layers=1, heads=2, intermediate_size=64, vocabulary_size=44, max_positions=64, dropout=0.0
    ),
    sequence_length=64,
    question_length=16,
    stride=16,
)
TASK = serving.open_task(OPTIONS, reference_f1=0.01, lengths=(24, 32, 48))
BENCHMARK = Benchmark(name="tests.bert_squad", inference=TASK)
SOURCE = ShapeQuestions(train_examples=64, eval_examples=64)
CPU = spec.Device(kind="cpu")


def test_the_figures_of_the_rules() -> None:
    assert (serving.BERT_99.quality.value, serving.BERT_99_9.quality.value) == (0.8996526, 0.9078313)
    assert serving.BERT_99.lengths_for(serving.BERT_99.options) == serving.LENGTHS


@pytest.mark.parametrize(
    ("sequence_length", "expected"),
    [(100, (96, 100)), (128, (96, 128)), (200, (96, 128, 160, 192, 200)), (512, (*serving.LENGTHS, 512))],
)
def test_a_network_is_compiled_for_no_more_than_its_window(sequence_length: int, expected: tuple[int, ...]) -> None:
    encoder = dataclasses.replace(OPTIONS.encoder, max_positions=sequence_length)
    options = SquadOptions(encoder=encoder, sequence_length=sequence_length)
    assert serving.BERT_99.lengths_for(options) == expected
    assert pickle.loads(pickle.dumps(serving.BERT_99)).lengths_for(options) == expected


def test_a_model_with_fewer_positions_than_the_config_gives_is_refused() -> None:
    built = model.build(OPTIONS)
    model_check.check(built, TASK, OPTIONS)
    longer = dataclasses.replace(
        OPTIONS, encoder=dataclasses.replace(OPTIONS.encoder, max_positions=128), sequence_length=128
    )
    with pytest.raises(UsageError, match=r"^The model can't be called on .* of length 128: .* trained with\.$"):
        model_check.check(built, TASK, longer)


def test_parameters_are_those_of_the_model() -> None:
    built = model.build(OPTIONS)
    assert sum(math.prod(variable.shape) for variable in built.trainable_variables) == parameters(OPTIONS.encoder)
    assert serving.BERT_99.parameters == parameters(serving.BERT_99.options.encoder)


def parameters(encoder: Encoder) -> int:
    """Of an encoder without pooler, and of the head for spans."""
    width, inner = encoder.hidden_size, encoder.intermediate_size
    embedded = (encoder.vocabulary_size + encoder.max_positions + encoder.token_types) * width + 2 * width
    attention = 4 * (width * width + width) + 2 * width
    feed_forward = width * inner + inner + inner * width + width + 2 * width
    return embedded + encoder.layers * (attention + feed_forward) + 2 * width + 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.build(OPTIONS).save(path)
    return Weights(path=path)


SCENARIOS = (spec.SingleStream(), spec.MultiStream(), spec.Server(target_qps=200.0), spec.Offline())


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(each, marks=[] if isinstance(each, spec.Offline) else pytest.mark.slow) for each in SCENARIOS],
    ids=lambda scenario: type(scenario).__name__,
)
def test_untrained_weights_are_served_valid_with_the_same_responses_in_the_audit(
    scenario: spec.Scenario, weights: Weights, tmp_path: pathlib.Path
) -> None:
    run = spec.InferSpec(
        benchmark=BENCHMARK.name,
        division=spec.Division.INTERNAL,
        scenario=scenario,
        data=spec.Data(source=SOURCE),
        model=OPTIONS,
        executable="litert-float32",
        batch_sizes=None if isinstance(scenario, spec.MultiStream) else (1, 4),
        min_duration_s=0.5,
        min_queries=700,
        quality_target=0.0,
    )
    workspace = Workspace(output_dir=tmp_path, name="squad", data_dir=None, device=CPU)
    outcome, run_dir = measurement.infer(
        run, BENCHMARK, trained=weights, workspace=workspace, compliance_tests=("TEST01",)
    )
    assert (outcome.valid, outcome.reasons) == (True, ())
    responses, _, _ = outcome.audits["TEST01"].partition("Verifying performance")  # half a second is not comparable
    assert "TEST PASS" in responses or "is accepted" in responses, outcome.audits
    opened = samples.open_samples(run.data, OPTIONS, None)
    answers = loadgen_log.answers(run_dir / "accuracy")
    assert sorted(answers) == list(range(opened.total))
    served = keras.models.load_model(weights.path)
    for number, window in itertools.islice(enumerate(opened.load(range(opened.total))), 0, None, 29):
        names = (tensor.name for tensor in TASK.inputs(OPTIONS))
        outputs = served({name: array[None] for name, array in zip(names, window, strict=True)})
        expected = np.asarray(outputs["span_logits"] if isinstance(outputs, dict) else outputs)[0]
        found = np.frombuffer(answers[number], np.float32).reshape(-1, 2)
        np.testing.assert_allclose(found, expected[: len(found)], atol=1e-4)
    lengths = {name.partition("x")[2] for name in outcome.batches}
    assert lengths <= {"24", "32", "48", "64"} and len(lengths) > 1
    (verdict,) = checker.check(run_dir)
    assert verdict.violations == ()
