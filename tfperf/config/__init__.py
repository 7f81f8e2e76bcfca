"""Configs: yaml files that become specs, strictly, with all violations reported together.

A config holds the fields of one spec. A field that takes one of several dataclasses, such as `optimizer` or `scenario`,
holds one block, whose key names the class. The model's options and the sources of data are those of the benchmark's
task, so the functions that build a spec take `task_of`, which looks a task up: `benchmarks.task`.
"""

from tfperf.config.dumping import as_dict, dump, value_of
from tfperf.config.loading import BaseVerb, TaskOf, Verb, load, load_any, load_evaluation, load_inference, varied, verb
from tfperf.config.packaged import header, names
from tfperf.config.sweeps import load_sweep

__all__ = [
    "BaseVerb",
    "TaskOf",
    "Verb",
    "as_dict",
    "dump",
    "header",
    "load",
    "load_any",
    "load_evaluation",
    "load_inference",
    "load_sweep",
    "names",
    "value_of",
    "varied",
    "verb",
]
