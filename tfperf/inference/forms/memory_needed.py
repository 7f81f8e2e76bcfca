"""An estimate of the memory that a compiled form takes, so that one that doesn't fit is not started."""

from __future__ import annotations

from typing import NamedTuple

# Peak resident memory in GB on 2 cores of an AMD EPYC (Zen 4, TensorFlow 2.21), of ResNet-50 (0.103 GB of weights,
# 224 x 224 images) and of a stack of dense layers like BERT-base (0.434 GB, 8 tokens):
#
#                         ResNet-50                              dense layers
#                 build   1 size   4 sizes  2 instances     build   1 size   4 sizes  2 instances
#     function     0.96     0.95      1.7      0.95          1.95     1.3       1.4        -
#     xla          0.96     1.1       2.6       -            1.95     1.4       1.5        -
#     graph        3.1      1.3       2.0      1.3          10.7      2.9       2.9       2.9
#     litert       3.5      0.94      1.6      1.2          12.1      1.6       1.6       2.5
#
# Those of xla, the builds of dense layers and their function are from before instances shared weights and a graph was
# one function; - was not measured since.
#
# The 4 sizes are batches of 1, 4, 16 and 64. What more sizes take is activations, so it depends on the model; the
# estimate allows for ResNet-50's, whose are large.
_OWN_BYTES = 10**9  # TensorFlow's


class _Copies(NamedTuple):
    """Memory as a multiple of the weights.

    Attributes:
        building: memory of the process that builds. Freezing copies the weights through several protocol buffers.
        serving: memory of the process that serves one instance.
        instance: memory of each further instance.
        bucket: memory of each further bucket, but at most `most_per_bucket_bytes`.
        most_per_bucket_bytes: the activations of a large batch.
    """

    building: int
    serving: int
    instance: int
    bucket: int
    most_per_bucket_bytes: int


_COPIES = {
    "function": _Copies(3, 2, 0, 2, 250_000_000),
    "xla": _Copies(3, 2, 0, 5, 500_000_000),
    "graph": _Copies(23, 5, 0, 2, 250_000_000),
    "litert": _Copies(26, 2, 2, 2, 250_000_000),
}


def memory_needed_bytes(form: str, *, weights_bytes: int, buckets: int = 1, instances: int = 1) -> int:
    """The approximate peak memory of the process that builds a form or the one that serves it, whichever is larger.

    Args:
        form: one of `forms.FORMS`.
        weights_bytes: size of the weights in float32.
        buckets: the number of buckets that the form is opened for.
        instances: the number of instances that are opened.
    """
    copies = _COPIES[form.partition("-")[0]]
    per_bucket = min(copies.bucket * weights_bytes, copies.most_per_bucket_bytes)
    serving = (copies.serving + copies.instance * (instances - 1)) * weights_bytes + per_bucket * (buckets - 1)
    return _OWN_BYTES + max(copies.building * weights_bytes, serving)
