"""The tf.data options of a pipeline that reads its own share of a data set."""

from __future__ import annotations

import tensorflow as tf

from tfperf.benchmarks.benchmark import Feed


def of(feed: Feed) -> tf.data.Options:
    """The options for a feed.

    tf.distribute must not share the data again. And a batch is prepared by many operations at a time: splitting one of
    them among the threads costs more than it saves.
    """
    options = tf.data.Options()
    options.deterministic = feed.deterministic
    options.threading.max_intra_op_parallelism = 1
    if feed.threads is not None:
        options.threading.private_threadpool_size = feed.threads
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
