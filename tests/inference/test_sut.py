"""The SUT of each scenario answers every sample once, with its own response, whatever happens."""

import time

import pytest

from tests.inference.simulated_loadgen import (
    DEADLINE_S,
    LENGTHS,
    SCENARIOS,
    TOTAL,
    WITH_LENGTH,
    Doubling,
    LoadGen,
    as_long_as_the_sample,
    length_of_number,
    samples_with_length,
)
from tfperf.inference.executable import Bucket
from tfperf.inference.recording import Recording


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


def test_singlestream_copies_a_sample_to_an_accelerator_within_its_latency(tmp_path):
    loadgen = LoadGen("SingleStream", tmp_path, model=Doubling(host_memory=False))
    assert loadgen.model.staged == [], "copied before it was issued"
    loadgen.run(20)
    assert [1000 * place + number for place, number in enumerate(loadgen.model.staged)] == list(loadgen.answers)
    assert len(loadgen.right()) == 20
    recording = loadgen.recording
    assert (recording.execution("staging_ns") > 0).all()
    assert (recording.query("queue_ns") == recording.execution("staging_ns")).all()
    assert (recording.query("queue_ns") + recording.execution("compute_ns") <= recording.query("latency_ns")).all()
    loadgen.issue(int(loadgen.model.staged[0]))
    assert len(loadgen.model.staged) == 21, "a sample that is issued again is copied again"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_scenario_copies_a_sample_to_an_accelerator_before_it_is_issued(scenario, tmp_path):
    loadgen = LoadGen(scenario, tmp_path, model=Doubling(host_memory=False))
    assert loadgen.model.staged == []
    loadgen.sut.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_failure_after_the_answer_answers_nothing_twice(scenario, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recording, "completed_word", 64)  # beyond the end of the counters
        loadgen = LoadGen(scenario, tmp_path)
        loadgen.run(100)
    assert [type(error) for error in loadgen.failures] == [IndexError]
    assert 0 < len(loadgen.right()) < loadgen.issued


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_last_rows_of_a_full_recording_are_kept(scenario, tmp_path):
    last = LoadGen(scenario, tmp_path, capacity=3)
    last.run()
    assert not last.failures
    assert last.recording.counter("completed") > 3
    assert not last.recording.complete
    executions = last.recording.counter("executions")
    issued, started = last.recording.query("issued_ns"), last.recording.execution("started_ns")
    assert (len(issued), len(started)) == (3, min(3, executions))
    assert sorted(started) == list(started)


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
    own_lengths = sum(length_of_number(number % 1000) for number in loadgen.answers)
    assert loadgen.recording.execution("samples_length").sum() == own_lengths
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
    assert Bucket(8, 16) in model.ran[1:3], "with seven of the others in its padding"
