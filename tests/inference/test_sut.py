"""The SUT of each scenario answers every sample once, with its own response, whatever happens."""

import dataclasses
import threading
import time

import numpy as np
import pytest

from tfperf.benchmarks.benchmark import Ragged
from tfperf.benchmarks.tensor import Tensor
from tfperf.inference import sut, warm_up
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel, Settings
from tfperf.inference.library import SampleLibrary
from tfperf.inference.real_batches import RealBatches
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


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_answers_each_sample_once_with_its_own_response(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path)
    loadgen.run(103 if scenario != "MultiStream" else 100)
    assert not loadgen.failures
    assert len(loadgen.right()) == loadgen.issued
    assert set(loadgen.model.ran) <= set(loadgen.model.batch_sizes)
    assert loadgen.recording.execution("samples").sum() == loadgen.issued
    assert loadgen.recording.counter("samples") == loadgen.issued


@pytest.mark.parametrize(
    ("scenario", "queries"), [("SingleStream", 100), ("MultiStream", 10), ("Offline", 100), ("Server", 100)]
)
def test_records_every_query_and_execution(scenario, queries, tmp_path):
    loadgen = LoadGen(scenario, tmp_path)
    before = time.perf_counter_ns()
    loadgen.run()
    after, recording = time.perf_counter_ns(), loadgen.recording
    assert recording.counter("issued") == recording.counter("completed") == queries
    issued, latency, queued = (recording.query(column) for column in ("issued_ns", "latency_ns", "queue_ns"))
    assert len(issued) == queries
    assert (issued >= before).all() and (issued + latency <= after).all()
    assert ((queued >= 0) & (queued <= latency)).all()
    assert recording.counter("executions") == len(loadgen.model.ran)
    assert recording.execution("batch_size").tolist() == loadgen.model.ran
    assert (recording.execution("compute_ns") > 0).all()
    assert (recording.execution("started_ns") >= before).all()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_failure_after_the_answer_answers_nothing_twice(scenario, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recording, "completed_word", 64)  # beyond the end of the counters
        loadgen = LoadGen(scenario, tmp_path)
        loadgen.run(100)
    assert [type(error) for error in loadgen.failures] == [IndexError]
    assert 0 < len(loadgen.right()) < loadgen.issued


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_rows_beyond_the_capacity_are_counted_only(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path, capacity=3)
    loadgen.run()
    assert not loadgen.failures
    assert loadgen.recording.counter("completed") > 3
    assert len(loadgen.recording.query("latency_ns")) == 3
    assert not loadgen.recording.complete


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_after_a_failure_everything_is_answered_with_nothing_and_reported_once(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path, model=Doubling(fails_at=2))
    loadgen.run()
    assert [str(error) for error in loadgen.failures] == ["broken on purpose"]
    answered = [one for one, row in loadgen.answers.items() if row is not None]
    assert answered == loadgen.right()
    assert 0 < len(answered) < loadgen.issued
    assert len(loadgen.model.ran) == 2


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_too_few_rows_from_the_model_are_a_failure(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path, model=Doubling(batch_sizes=(4,), forgets=1))
    loadgen.run()
    assert [str(error) for error in loadgen.failures] == ["The model must give 4 rows for a batch of 4, got 3."]
    assert not loadgen.right()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_too_few_responses_are_a_failure(scenario, tmp_path):
    loadgen = LoadGen(
        scenario, tmp_path, model=Doubling(batch_sizes=(1,)), respond=lambda outputs, indices: outputs[0][1:]
    )
    loadgen.run()
    assert [str(error) for error in loadgen.failures] == ["`respond` must give 1 row for a batch of 1, got 0."]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_response_that_cannot_be_made_is_a_failure(scenario, tmp_path):
    def respond(outputs, indices):
        raise ValueError("not finite")

    loadgen = LoadGen(scenario, tmp_path, respond=respond)
    loadgen.run()
    assert [str(error) for error in loadgen.failures] == ["not finite"]
    assert set(map(type, loadgen.answers.values())) == {type(None)}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_sample_that_is_not_loaded_is_a_failure(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path)
    loadgen.library.unload(list(range(TOTAL)))
    loadgen.run()
    assert len(loadgen.failures) == 1
    assert "not loaded" in str(loadgen.failures[0])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_model_without_batch_size_1_is_padded(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path, model=Doubling(batch_sizes=(4, 8)))
    loadgen.run()
    assert len(loadgen.right()) == loadgen.issued


def test_offline_runs_the_most_efficient_size_and_pads_the_rest_into_the_smallest_that_holds_it(tmp_path):
    loadgen = LoadGen("Offline", tmp_path, model=Doubling(batch_sizes=(1, 2, 4, 8)))
    loadgen.run(27)
    assert loadgen.model.ran == [8, 8, 8, 4]
    assert loadgen.calls == [8, 8, 8, 3]
    assert list(loadgen.recording.execution("samples")) == [8, 8, 8, 3]
    assert list(loadgen.recording.execution("batch_size")) == [8, 8, 8, 4]
    assert not loadgen.recording.execution("length").any()


def test_offline_takes_one_set_after_another_as_accuracy_runs_issue_them(tmp_path):
    loadgen = LoadGen("Offline", tmp_path)
    loadgen.issue(*range(10))
    loadgen.issue(*range(10, 15))
    loadgen.sut.close()
    assert len(loadgen.right()) == 15


@pytest.mark.parametrize("scenario", ["Offline", "Server"])
def test_issue_returns_while_the_model_is_busy(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path)
    loadgen.model.gate.clear()
    loadgen.issue(1)
    loadgen.issue(2)
    assert not loadgen.answers
    loadgen.model.gate.set()
    loadgen.sut.close()
    assert len(loadgen.right()) == 2


def test_server_batches_what_came_while_the_model_was_busy(tmp_path):
    loadgen = LoadGen("Server", tmp_path)
    loadgen.model.gate.clear()
    loadgen.issue(0)
    assert loadgen.model.entered.wait(DEADLINE_S)
    for number in range(1, 9):
        loadgen.issue(number)
    loadgen.model.gate.set()
    loadgen.sut.close()
    assert loadgen.model.ran == [1, 8]
    assert len(loadgen.right()) == 9


@pytest.mark.parametrize("scenario", ["Offline", "Server"])
def test_instances_run_at_the_same_time(scenario, tmp_path):
    models = [Doubling(batch_sizes=(1,)) for _ in range(3)]
    for model in models:
        model.gate.clear()
    loadgen = LoadGen(scenario, tmp_path, model=models[0], copies=tuple(models[1:]))
    loadgen.issue(*range(7))
    for model in models:
        assert model.entered.wait(DEADLINE_S)
    for model in models:
        model.gate.set()
    loadgen.sut.close()
    assert not loadgen.failures
    assert len(loadgen.right()) == 7
    assert sum(len(model.ran) for model in models) == loadgen.recording.counter("executions") == 7
    assert loadgen.recording.counter("completed") == len(loadgen.recording.query("latency_ns")) == 7


@pytest.mark.parametrize("scenario", ["Offline", "Server"])
def test_after_the_failure_of_one_instance_all_answer_with_nothing(scenario, tmp_path):
    model, copy = Doubling(), Doubling(fails_at=1)
    model.gate.clear()
    loadgen = LoadGen(scenario, tmp_path, model=model, copies=(copy,))
    loadgen.issue(*range(300))
    assert copy.entered.wait(DEADLINE_S)
    model.gate.set()
    loadgen.sut.close()
    assert [str(error) for error in loadgen.failures] == ["broken on purpose"]
    assert len(loadgen.answers) == loadgen.issued > len(loadgen.right())


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


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_samples_of_different_lengths_are_padded_and_answered_with_responses_of_their_own_length(scenario, tmp_path):
    model = Doubling(inputs=WITH_LENGTH, lengths=LENGTHS)
    loadgen = LoadGen(
        scenario, tmp_path, model=model, load=samples_with_length, respond=as_long_as_the_sample, capacity=5000
    )
    loadgen.run(300)
    assert not loadgen.failures
    for one, answer in loadgen.answers.items():
        number = one % 1000
        expected = 0 if number % 7 == 3 else length_of_number(number)
        assert answer.tolist() == [2.0 * number] * expected
    sizes, lengths, samples = (loadgen.recording.execution(column) for column in ("batch_size", "length", "samples"))
    assert [*map(Bucket, sizes.tolist(), lengths.tolist())] == model.ran
    assert samples.sum() == 300
    assert (samples <= sizes).all()
    assert set(lengths) <= set(LENGTHS)
    if scenario in ("SingleStream", "Server"):
        assert set(lengths) == set(LENGTHS)
    if scenario == "Offline":
        assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
        assert samples.tolist().count(8) >= 300 // 8 - len(LENGTHS)


def test_server_answers_a_rare_length_while_another_keeps_it_busy(tmp_path):
    model = Doubling(inputs=WITH_LENGTH, lengths=LENGTHS)
    loadgen = LoadGen("Server", tmp_path, model=model, load=samples_with_length, respond=as_long_as_the_sample)
    model.gate.clear()
    loadgen.issue(1)
    assert model.entered.wait(DEADLINE_S)
    loadgen.issue(10)  # the long one comes first
    loadgen.issue(*[1] * 100)
    model.gate.set()
    loadgen.sut.close()
    assert Bucket(1, 16) in model.ran[1:3]


def test_warm_up_runs_real_samples_and_pads_shorter_ones_where_a_length_has_none(tmp_path):
    model = Doubling(inputs=WITH_LENGTH, lengths=(*LENGTHS, 32))
    loadgen = LoadGen("Offline", tmp_path, model=model, load=samples_with_length, respond=as_long_as_the_sample)
    batches = RealBatches(loadgen.served)
    assert batches.length_shares == pytest.approx({4: 0.39, 8: 0.51, 16: 0.1, 32: 0.0}, abs=0.05)
    for bucket in model.buckets:
        numbers, rows = batches.batch(bucket)
        assert numbers.shape == (bucket.batch, bucket.length)
        assert (numbers[:, 0] == rows[:, 0]).all()
        for values, number in zip(numbers, rows[:, 0].astype(int), strict=True):
            assert (values == -1).sum() == bucket.length - length_of_number(number)
    assert (batches.batch(Bucket(8, 32))[0] == -1).sum() == 8 * 16
    times = warm_up.measure(loadgen.served, batches, budget_s=0.01)
    assert tuple(times) == model.buckets


def test_warm_up_cuts_longer_samples_where_none_is_short_enough(tmp_path):
    model = Doubling(inputs=WITH_LENGTH, lengths=(1, 16), batch_sizes=(2,))
    loadgen = LoadGen("Offline", tmp_path, model=model, load=samples_with_length)
    numbers, rows = RealBatches(loadgen.served).batch(Bucket(2, 1))
    np.testing.assert_array_equal(numbers, rows)


def test_warm_up_measures_every_batch_size(tmp_path):
    loadgen = LoadGen("SingleStream", tmp_path)
    times = warm_up.measure(loadgen.served, RealBatches(loadgen.served), budget_s=0.01)
    assert list(times) == [Bucket(1), Bucket(4), Bucket(8)]
    assert all(time_ns > 0 for time_ns in times.values())


def test_warm_up_measures_while_all_instances_run(tmp_path):
    copy = Doubling()
    loadgen = LoadGen("Offline", tmp_path, copies=(copy,))
    times = warm_up.measure(loadgen.served, RealBatches(loadgen.served), budget_s=0.05)
    assert list(times) == [Bucket(1), Bucket(4), Bucket(8)]
    assert set(copy.ran) == {1, 4, 8}


def test_warm_up_raises_what_an_instance_raised(tmp_path):
    loadgen = LoadGen("Offline", tmp_path, copies=(Doubling(fails_at=1),))
    with pytest.raises(RuntimeError, match="broken on purpose"):
        warm_up.measure(loadgen.served, RealBatches(loadgen.served), budget_s=0.05)


def test_warm_up_refuses_a_model_that_is_traced_again(tmp_path):
    class Retracing(Doubling):
        def traces(self):
            return len(self.ran)

    loadgen = LoadGen("SingleStream", tmp_path, model=Retracing())
    with pytest.raises(RuntimeError, match=r"^doubling was traced or compiled \d+ more times for buckets"):
        warm_up.measure(loadgen.served, RealBatches(loadgen.served), budget_s=0.01)
