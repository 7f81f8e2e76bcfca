"""An estimate of the memory that a compiled form takes, so that one that doesn't fit is not started."""

from __future__ import annotations

from typing import NamedTuple

# Peak resident memory in GB with TensorFlow 2.21 on 2 cores, of ResNet-50 (0.103 GB of weights, 224 x 224 images), of a
# stack of dense layers (0.434 GB, 8 tokens) and of an encoder like BERT-base (0.436 GB, batches of 1 and 4 of 64 and
# 384 tokens, 2 instances):
#
#                                 ResNet-50                       dense layers                    encoder
#                         build   1 size   4 sizes  2 inst.   build   1 size   4 sizes   build   4 sizes  2 inst.
#     function             0.96     0.95      1.7     0.95      1.95    1.3      1.4       -        -        -
#     xla                  0.96     1.1       2.6      -        1.95    1.4      1.5       -        -        -
#     graph-float32        2.5      1.3       2.0     1.3        -      2.9      2.9      3.5      2.9      2.9
#     litert-float32       1.7      0.94      1.6     1.2        -      1.6      1.6      4.6      1.6      2.3
#     litert-int8          2.1       -         -       -         -       -        -       6.0      0.9      1.1
#     litert-dynamic_int8  1.5       -         -       -         -       -        -       3.2      1.0      1.3
#
# Those of xla, and the builds of function, are from before instances shared weights; - was not measured.
#
# The 4 sizes of ResNet-50 are batches of 1, 4, 16 and 64. Most of what they take is the activations of the largest:
# ResNet-50 takes 1.5 (function) and 2.1 (xla) at 64 alone. At 12 sizes up to 64 it takes 1.75 and 3.2, so 0.02 and 0.1
# for each size.
_OWN_BYTES = 10**9  # TensorFlow's


class _Costs(NamedTuple):
    """Memory in multiples of the weights, or in bytes.

    Attributes:
        building: multiple that the process that builds takes.
        folding: multiple for weights into which something is folded, such as those of convolutions.
        most_folding_bytes: the most for these.
        serving: multiple that the process that serves one instance takes.
        instance: multiple for each further instance.
        activations: multiple for the activations of a large batch, which depend on the model; ResNet-50's are large.
        most_activations_bytes: the most of them.
        bucket: multiple for each further bucket.
        most_bucket_bytes: the most for each.
    """

    building: int
    folding: int
    most_folding_bytes: int
    serving: int
    instance: int
    activations: int
    most_activations_bytes: int
    bucket: int
    most_bucket_bytes: int


_COSTS = {
    "function": _Costs(3, 0, 0, 2, 0, 8, 800_000_000, 1, 25_000_000),
    "xla": _Costs(3, 0, 0, 2, 0, 12, 1_200_000_000, 2, 110_000_000),
    "graph": _Costs(6, 9, 1_000_000_000, 5, 0, 8, 800_000_000, 0, 0),
    # An interpreter for each bucket of a small model, one for all buckets of a large model.
    "litert": _Costs(12, 0, 0, 2, 2, 8, 800_000_000, 2, 64_000_000),
}
_BUILDING = {"litert-float32": 9, "litert-dynamic_int8": 6}  # where it differs from that of the compiler


def memory_needed_bytes(form: str, *, weights_bytes: int, buckets: int = 1, instances: int = 1) -> int:
    """The approximate peak memory of the process that builds a form or the one that serves it, whichever is larger.

    Args:
        form: one of `forms.FORMS`.
        weights_bytes: size of the weights in float32.
        buckets: the number of buckets that the form is opened for.
        instances: the number of instances that are opened.
    """
    costs = _COSTS[form.partition("-")[0]]
    serving = (costs.serving + costs.instance * (instances - 1)) * weights_bytes
    if buckets > 1:
        serving += min(costs.activations * weights_bytes, costs.most_activations_bytes)
        serving += min(costs.bucket * weights_bytes, costs.most_bucket_bytes) * (buckets - 1)
    building = _BUILDING.get(form, costs.building) * weights_bytes
    building += min(costs.folding * weights_bytes, costs.most_folding_bytes)
    return _OWN_BYTES + max(building, serving)
