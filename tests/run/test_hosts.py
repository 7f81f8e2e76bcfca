"""What the result of a run on several hosts says about all of them."""

from tests.system.test_assembly import assembled, cluster_of, of_each
from tfperf.run import train
from tfperf.system.cluster import Cluster


def test_the_corrupt_examples_of_all_workers_are_reported_once() -> None:
    found = (("a.JPEG: cut", "b.JPEG: empty"), ("b.JPEG: empty", "c.JPEG: cut"))

    def work(cluster: Cluster) -> tuple[str, ...]:
        with assembled(cluster) as together:
            return train._skipped_by_all(together, skipped=found[cluster.index])

    assert of_each(cluster_of(2), work) == [("a.JPEG: cut", "b.JPEG: empty", "c.JPEG: cut")] * 2
