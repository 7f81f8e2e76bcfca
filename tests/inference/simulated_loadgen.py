"""A model that doubles numbers, and what calls its SUT in place of LoadGen."""

import dataclasses
import threading

import numpy as np

from tfperf.benchmarks.benchmark import Ragged
from tfperf.benchmarks.tensor import Tensor
from tfperf.inference import sut
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel, Settings
from tfperf.inference.library import SampleLibrary
from tfperf.inference.recording import Recording

SCENARIOS = ("SingleStream", "MultiStream", "Offline", "Server")
TOTAL = 500
DEADLINE_S = 20


FIXED = (Tensor(name="numbers", shape=(2,)),)
WITH_LENGTH = (
    Tensor(name="numbers", shape=(None,), padding=-1),
    Tensor(name="row", shape=(1,)),
)
LENGTHS = (4, 8, 16)


@dataclasses.dataclass
class Doubling:
    """A model that doubles its first input; remembers the batches it ran."""

    form: str = "doubling"
    batch_sizes: tuple[int, ...] = (1, 4, 8)
    lengths: tuple[int | None, ...] = (None,)
    inputs: tuple[Tensor, ...] = FIXED
    outputs: tuple[Tensor, ...] = (Tensor(name="doubled", shape=(2,)),)
    threads: int = 1
    host_memory: bool = True
    staged: list = dataclasses.field(default_factory=list)
    ran: list = dataclasses.field(default_factory=list)
    fails_at: int | None = None
    forgets: int = 0
    gate: threading.Event = dataclasses.field(default_factory=threading.Event)
    entered: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __post_init__(self):
        self.gate.set()
        self.buckets = tuple(Bucket(size, length) for length in self.lengths for size in self.batch_sizes)
        self.encoded = tuple(np.dtype(tensor.dtype) for tensor in self.inputs)

    def encode(self, batch):
        return batch

    def stage(self, batch):
        length = batch[0].shape[1] if self.lengths != (None,) else None
        assert Bucket(len(batch[0]), length) in self.buckets
        self.staged.append(batch[0][0, 0])
        return batch

    def run(self, staged):
        self.entered.set()
        assert self.gate.wait(DEADLINE_S)
        first = staged[0]
        self.ran.append(len(first) if self.lengths == (None,) else Bucket(len(first), first.shape[1]))
        if len(self.ran) == self.fails_at:
            raise RuntimeError("broken on purpose")
        return (2 * first[self.forgets :],)

    def traces(self):
        return 0


def fixed_samples(numbers):
    return [(np.array([number, 1], np.float32),) for number in numbers]


def respond_first(outputs, indices):
    assert len(indices) == len(outputs[0])
    return outputs[0]


class LoadGen:
    """Collects answers; ids are the sample numbers plus 1000 times the position in the order of issue."""

    def __init__(
        self, scenario, directory, *, model=None, copies=(), load=fixed_samples, respond=respond_first, **settings
    ):
        self.model = model or Doubling()
        self.answers, self.calls, self.failures = {}, [], []
        self.recording = Recording.create(directory / "recording", capacity=settings.pop("capacity", 10_000))
        self.served = served = ServedModel(
            executable=self.model,
            copies=copies,
            total=TOTAL,
            load=load,
            respond=respond,
        )
        self.library = SampleLibrary(served, self.recording)
        self.settings = Settings(
            loadgen_model="resnet50",
            scenario=scenario,
            mode="performance",
            min_duration_s=1,
            performance_samples=TOTAL,
            latency_bound_ns=10**9,
            **settings,
        )
        self.sut = sut.build(
            self.settings,
            served,
            self.library,
            self.recording,
            complete=self.complete,
            fail=self.failures.append,
            execution_ns={bucket: (bucket.length or 1) * (1000.0 + bucket.batch) for bucket in self.model.buckets},
        )
        self.library.load(list(range(TOTAL)))
        self.issued = 0

    def complete(self, ids, responses):
        self.calls.append(len(ids))
        if isinstance(responses, Ragged):
            assert len(responses.offsets) == len(ids) + 1
            ends = responses.offsets // responses.buffer.itemsize
            responses = [responses.buffer[ends[row] : ends[row + 1]] for row in range(len(ids))]
        assert responses is None or len(responses) == len(ids)
        for row, one in enumerate(ids):
            assert one not in self.answers, "answered twice"
            self.answers[one] = None if responses is None else responses[row].copy()

    def issue(self, *indices):
        ids = [1000 * (self.issued + place) + index for place, index in enumerate(indices)]
        self.issued += len(indices)
        self.sut.issue(ids, list(indices))

    def run(self, samples=100):
        """Issues `samples` as the scenario does, and waits for all answers."""
        indices = np.random.default_rng(0).integers(0, TOTAL, samples).tolist()
        size = {"SingleStream": 1, "MultiStream": 10, "Offline": samples, "Server": 1}[self.settings.scenario]
        for start in range(0, samples, size):
            self.issue(*indices[start : start + size])
        self.sut.flush()
        self.sut.close()
        assert len(self.answers) == self.issued

    def right(self):
        """Ids whose answer is their own sample's."""
        return [one for one, row in self.answers.items() if row is not None and list(row) == [2 * (one % 1000), 2]]


def length_of_number(number):
    """Every tenth sample is long, so that the longest length is rare."""
    return 2 + number % 7 if number % 10 else 16


def samples_with_length(numbers):
    return [
        (np.full(length_of_number(number), number, np.float32), np.array([number], np.float32)) for number in numbers
    ]


def as_long_as_the_sample(outputs, indices):
    """One value for each of the sample's own numbers, and none for every seventh sample."""
    sizes = [0 if index % 7 == 3 else length_of_number(index) for index in indices]
    rows = [row[:size] for row, size in zip(outputs[0], sizes, strict=True)]
    return Ragged(np.concatenate(rows), np.cumsum([0, *sizes]) * 4)
