"""A benchmark that tfperf knows nothing of: token sequences of different lengths, and an answer of each one's length.

Two int32 inputs, token ids and a mask. The answer to a sequence holds one float32 for each of its tokens, and nothing
at all if the sequence begins with `SILENT`. The sign of the number says whether the token is even.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask, OpenSamples, QualityTarget, Ragged, Scoring
from tfperf.benchmarks.tensor import Batch, Sample, Tensor

if TYPE_CHECKING:
    import keras

LENGTHS = (8, 16, 32)
SILENT = 1
NO_TOKEN = 0  # pads ids
TOLERANCES = {
    "float32": 1e-4,
    "bfloat16": 0.05,
    "float16": 0.01,
    "int8": 0.2,
    "dynamic_int8": 0.05,
}  # beside values of about 1
_HIDDEN = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sequences:
    """Drawn sequences: a source that only this benchmark reads."""

    total: int = 60
    seed: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The model's options."""

    vocabulary: int = 100


def tokens_of(source: Sequences, number: int, *, vocabulary: int) -> np.ndarray:
    """The tokens of a sequence. Most are short, few are longer than 16."""
    random = np.random.default_rng((source.seed, number))
    longest = random.choice(LENGTHS, p=[0.6, 0.3, 0.1])
    tokens = random.integers(2, vocabulary, random.integers(longest // 2, longest + 1), dtype=np.int32)
    if number % 7 == 3:
        tokens[0] = SILENT
    return tokens


def expected_answer(model: keras.Model, tokens: np.ndarray) -> np.ndarray:
    """The model's own answer to one sequence, without padding or batching."""
    if tokens[0] == SILENT:
        return np.empty(0, np.float32)
    outputs = model({"ids": tokens[None], "mask": np.ones_like(tokens)[None]}, training=False)
    return np.asarray(outputs)[0]


def _build_model(options: Options) -> keras.Model:
    import keras

    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = keras.Input((None,), dtype="int32", name="mask")
    embedding = keras.layers.Embedding(options.vocabulary, _HIDDEN, name="embedding")
    hidden = keras.layers.Dense(_HIDDEN, activation="tanh", kernel_initializer="identity")(embedding(ids))
    hidden = keras.layers.Dense(1, kernel_initializer="ones", name="sum")(hidden)
    signs = keras.ops.squeeze(hidden, axis=-1) * keras.ops.cast(mask, "float32")
    model = keras.Model({"ids": ids, "mask": mask}, signs)
    even = np.where(np.arange(options.vocabulary) % 2, -1.0, 1.0)[:, None] / _HIDDEN
    spread = np.random.default_rng(0).uniform(0.5, 1.5, (options.vocabulary, _HIDDEN))
    embedding.set_weights([(even * spread).astype(np.float32)])
    return model


def _inputs(options: Options) -> tuple[Tensor, ...]:
    ids = Tensor(name="ids", shape=(None,), dtype="int32", padding=NO_TOKEN)
    return ids, Tensor(name="mask", shape=(None,), dtype="int32")


def _outputs(options: Options) -> tuple[Tensor, ...]:
    return (Tensor(name="signs", shape=(None,)),)


def _open_samples(data: spec.Data, options: Options, data_dir: pathlib.Path | None) -> OpenSamples:
    return _samples(data.source, options)


def _samples(source: Any, options: Options) -> OpenSamples:
    def load(numbers: Sequence[int]) -> list[Sample]:
        drawn = [tokens_of(source, number, vocabulary=options.vocabulary) for number in numbers]
        return [(tokens, np.ones_like(tokens)) for tokens in drawn]

    def calibration(most: int) -> OpenSamples:
        return _samples(Sequences(total=min(most, 32), seed=source.seed + 1), options)

    return OpenSamples(
        total=source.total,
        load=load,
        labels=lambda: [sample[0] for sample in load(range(source.total))],
        names=lambda: tuple(f"sequence {number}" for number in range(source.total)),
        fingerprint=repr((source, options)),
        calibration=calibration,
    )


class Responder:
    """Cuts answers to the length of their sequence."""

    def __init__(self, samples: OpenSamples) -> None:
        tokens = samples.labels()
        self._sizes = np.array([0 if each[0] == SILENT else len(each) for each in tokens])

    def __call__(self, outputs: Batch, indices: Sequence[int], /) -> Ragged:
        (signs,) = outputs
        sizes = self._sizes[np.asarray(indices)]
        if not np.isfinite(signs).all():
            raise ValueError("The model's outputs must be finite.")
        kept = np.arange(signs.shape[1]) < sizes[:, None]
        return Ragged(np.ascontiguousarray(signs[kept], np.float32), np.append(0, np.cumsum(4 * sizes)))


def _score(responses: Mapping[int, bytes], samples: OpenSamples) -> float:
    """The share of sequences whose tokens are all told right."""
    tokens = samples.labels()
    return float(np.mean([_is_right(response, tokens[number]) for number, response in responses.items()]))


def _is_right(response: bytes, tokens: np.ndarray) -> bool:
    signs = np.frombuffer(response, np.float32)
    if tokens[0] == SILENT:
        return not len(signs)
    return len(signs) == len(tokens) and bool(((signs > 0) == (tokens % 2 == 0)).all())


def _write(directory: pathlib.Path, responses: Mapping[int, bytes], samples: OpenSamples, quality: float) -> None:
    (directory / "accuracy.txt").write_text(f"sequences={100 * quality:.3f}%\n", encoding="utf-8")


def _agreement(response: bytes, reference: bytes) -> float:
    found, expected = np.frombuffer(response, np.float32), np.frombuffer(reference, np.float32)
    return float(len(found) == len(expected) and bool((np.sign(found) == np.sign(expected)).all()))


BENCHMARK = Benchmark(
    name="tests.serving.ragged_benchmark",
    inference=InferenceTask(
        quality=QualityTarget(metric="sequences", value=0.99),
        reference_quality=1.0,
        loadgen_model="bert",
        submission_benchmark="sequences",
        scenarios=("singlestream", "multistream", "server", "offline"),
        closed_scenarios=("singlestream", "offline"),
        performance_samples=60,
        server_latency_bound_ns=130_000_000,
        options=Options(),
        sources=(Sequences,),
        build_model=_build_model,
        inputs=_inputs,
        outputs=_outputs,
        lengths=LENGTHS,
        open_samples=_open_samples,
        responder=Responder,
        scoring=Scoring(score=_score, write=_write, files=("accuracy.txt",), agreement=_agreement),
    ),
)
