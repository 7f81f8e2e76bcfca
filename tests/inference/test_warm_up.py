"""The warm-up times every bucket on real samples."""

import time

import numpy as np
import pytest

from tests.inference.simulated_loadgen import (
    LENGTHS,
    WITH_LENGTH,
    Doubling,
    LoadGen,
    as_long_as_the_sample,
    length_of_number,
    samples_with_length,
)
from tfperf.inference import warm_up
from tfperf.inference.executable import Bucket
from tfperf.inference.real_batches import RealBatches


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


def test_warm_up_measures_again_what_takes_longer_than_a_larger_batch(tmp_path):
    class Disturbed(Doubling):
        def run(self, staged):
            if len(staged[0]) == 4 and self.ran.count(8) < 2:  # until the larger batch is measured
                time.sleep(0.05)
            return super().run(staged)

    loadgen = LoadGen("Server", tmp_path, model=Disturbed())
    times = warm_up.measure(loadgen.served, RealBatches(loadgen.served), budget_s=0.1)
    assert max(times.values()) < 0.04e9


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
