"""The memory that building and serving a form take."""

from tfperf.inference import forms
from tfperf.inference.forms.memory_needed import memory_needed_bytes


def test_freezing_is_counted_into_the_memory() -> None:
    needed = {form: memory_needed_bytes(form, weights_bytes=100_000_000) for form in forms.FORMS}
    assert needed["function-float32"] < needed["litert-dynamic_int8"] < needed["litert-int8"]
    assert (needed["graph-float32"], needed["litert-int8"]) == (2_500_000_000, 2_200_000_000)
    assert memory_needed_bytes("graph-bfloat16", weights_bytes=1_340_000_000) < 11e9, "BERT-large in 11 GB"


def test_sizes_and_instances_are_counted_into_the_memory() -> None:
    def needed(form: str, **more: int) -> int:
        return memory_needed_bytes(form, weights_bytes=100_000_000, **more)

    assert needed("function-float32", buckets=4) == 2_075_000_000
    assert needed("function-float32", buckets=4, instances=8) == 2_075_000_000
    # The activations of the largest batch count once, so many lengths and sizes don't add up to what is never taken.
    assert needed("function-float32", buckets=48) == 3_175_000_000
    assert needed("litert-float32", instances=2) == needed("litert-float32") == 1_900_000_000
    assert needed("litert-float32", instances=20) == 5_000_000_000
    assert memory_needed_bytes("xla-float32", weights_bytes=1_000_000, buckets=12) < 1_100_000_000
