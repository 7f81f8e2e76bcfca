"""One run of the official MLCommons LoadGen, in a process that it may crash.

LoadGen calls back on the thread that runs it. An exception in a callback would crash the process, and an unanswered
query would hang it (mlcommons/inference, loadgen/bindings/python_api.cc). So no exception leaves a callback here, and
every query is answered, if only with nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, Protocol

import mlperf_loadgen
import numpy as np
from mlperf_loadgen import QuerySampleResponse, QuerySamplesComplete

from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import Ragged
from tfperf.errors import UsageError
from tfperf.inference import conf
from tfperf.inference.job import Settings
from tfperf.inference.sut import Sut

# LoadGen reads this file from the working directory unless it gets another path.
_AUDIT = "audit.config"
_BUILT_IN_CONF = 0  # the conf_type that reads only the mlperf.conf in the package

# Bound once, because the time of `complete` is part of every latency.
_view_of: Callable[[Any], ctypes.c_char] = ctypes.c_char.from_buffer
_address_of = ctypes.addressof


class Library(Protocol):
    """Keeps samples in memory: LoadGen's QSL."""

    def load(self, indices: list[int]) -> None:
        """Reads samples into memory."""

    def unload(self, indices: list[int]) -> None:
        """Frees their memory."""


def run(
    settings: Settings,
    sut: Sut,
    library: Library,
    log_dir: pathlib.Path,
    *,
    total: int,
    fail: Callable[[BaseException], None],
) -> None:
    """Runs LoadGen until it finishes, whatever happens in the callbacks.

    Args:
        settings: the settings, with the expected latency or rate filled in.
        sut: answers through `complete`.
        library: the samples.
        log_dir: an existing directory for LoadGen's files.
        total: samples in the data set.
        fail: gets each exception that a callback raised. From then on queries are answered with nothing.

    Raises:
        UsageError: LoadGen refuses the settings, or performance_samples is more than the samples there are.
        RuntimeError: LoadGen left no log.
    """
    if settings.performance_samples > total:
        raise UsageError(
            f"performance_samples must be at most the {total} samples of the data set, got "
            f"{settings.performance_samples}."
        )
    test = test_settings(settings)
    guard = _Guard(fail)
    load, unload, flush = (guard.quiet(call) for call in (library.load, library.unload, sut.flush))
    sut_handle = mlperf_loadgen.ConstructFastSUT(guard.issue(sut.issue), flush)
    library_handle = mlperf_loadgen.ConstructQSL(total, settings.performance_samples, load, unload)
    mlperf_loadgen.StartTestWithLogSettings(
        sut_handle, library_handle, test, _log_settings(log_dir), str(_audit_config(settings, log_dir))
    )
    if not (log_dir / loadgen_log.DETAIL).exists():
        raise RuntimeError(f"LoadGen ended without a log in {log_dir}. See its output in the log of the process.")
    mlperf_loadgen.DestroyQSL(library_handle)
    mlperf_loadgen.DestroyFastSUT(sut_handle)


def complete(ids: Sequence[int], responses: np.ndarray | Ragged | None) -> None:
    """Answers samples with their responses.

    LoadGen copies what it keeps before this returns.

    Args:
        ids: LoadGen's ids of the samples, n of them.
        responses: [n, k], C-contiguous, or `Ragged` with n responses; None answers with nothing.

    Raises:
        ValueError: there is not one response for each sample.
    """
    if responses is None:
        QuerySamplesComplete([QuerySampleResponse(id_, 0, 0) for id_ in ids])
        return
    if type(responses) is Ragged:  # half the time of isinstance, and part of every latency
        _complete_ragged(ids, responses)
        return
    count = len(ids)
    if len(responses) != count:
        raise _unfit(responses, count)
    try:
        address = _address_of(_view_of(responses))
    except (TypeError, ValueError):  # it is read-only, not contiguous, or empty
        address = _slow_address_of(responses, count)  # takes three times as long
    if count == 1:
        QuerySamplesComplete([QuerySampleResponse(ids[0], address, responses.nbytes)])
        return
    size = responses.nbytes // count
    rows = range(address, address + count * size, size) if size else repeat(0)
    QuerySamplesComplete(list(map(QuerySampleResponse, ids, rows, repeat(size))))


def _complete_ragged(ids: Sequence[int], responses: Ragged) -> None:
    buffer, offsets = responses
    count, sizes = len(ids), np.diff(offsets)
    if len(offsets) != count + 1 or offsets[0] < 0 or offsets[-1] > buffer.nbytes or (sizes < 0).any():
        raise ValueError(
            f"{count} samples must be answered with {count + 1} ascending offsets into a buffer of {buffer.nbytes} "
            f"bytes; got {len(offsets)} offsets from {offsets.min(initial=0)} to {offsets.max(initial=0)}. Return one "
            "response for each sample."
        )
    addresses = np.where(sizes, _slow_address_of(buffer, count) + offsets[:-1], 0)
    QuerySamplesComplete(list(map(QuerySampleResponse, ids, addresses.tolist(), sizes.tolist())))


def _slow_address_of(array: np.ndarray, count: int) -> int:
    if not array.nbytes:
        return 0
    if not array.flags.c_contiguous:
        raise _unfit(array, count)
    return int(array.__array_interface__["data"][0])


def _unfit(responses: np.ndarray, count: int) -> ValueError:
    return ValueError(
        f"{count} samples must be answered with {count} rows, C-contiguous; got shape {responses.shape}, strides "
        f"{responses.strides}. Return one row for each sample."
    )


def test_settings(settings: Settings) -> Any:
    """LoadGen's own settings: those in its mlperf.conf, overridden by ours.

    Raises:
        UsageError: LoadGen does not know the scenario.
    """
    test = mlperf_loadgen.TestSettings()
    refused = test.FromConfig("", settings.loadgen_model, settings.scenario, _BUILT_IN_CONF)
    if refused:
        raise UsageError(f"LoadGen refused model {settings.loadgen_model!r} in {settings.scenario}: error {refused}.")
    test.scenario = getattr(mlperf_loadgen.TestScenario, settings.scenario)
    modes = {"performance": mlperf_loadgen.TestMode.PerformanceOnly, "accuracy": mlperf_loadgen.TestMode.AccuracyOnly}
    test.mode = modes[settings.mode]
    for name, value in conf.attributes(settings).items():
        if not hasattr(test, name):
            raise UsageError(f"This LoadGen has no setting {name}. Install mlcommons-loadgen>=6.0.17,<7.")
        setattr(test, name, value)
    return test


def _log_settings(log_dir: pathlib.Path) -> Any:
    output = mlperf_loadgen.LogOutputSettings()
    output.outdir = str(log_dir)
    settings = mlperf_loadgen.LogSettings()
    settings.log_output = output
    settings.enable_trace = False  # 400 bytes for each sample, and twice the latency of a null model
    return settings


def _audit_config(settings: Settings, log_dir: pathlib.Path) -> pathlib.Path:
    """The file of a compliance test, or a missing file, so that LoadGen ignores one in the working directory."""
    if settings.audit_config is None:
        return log_dir.absolute() / "no-audit"
    path = log_dir.absolute() / _AUDIT
    path.write_text(settings.audit_config, encoding="utf-8")
    return path


def with_bound(settings: Settings) -> Settings:
    """The settings; in Server with the latency bound from LoadGen's mlperf.conf if they have none."""
    if settings.scenario != "Server" or settings.latency_bound_ns is not None:
        return settings
    return dataclasses.replace(settings, latency_bound_ns=int(test_settings(settings).server_target_latency_ns))


class _Guard:
    """Keeps exceptions inside callbacks, and answers queries with nothing after the first."""

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail
        self._broken = False

    def issue(self, call: Callable[[list[int], list[int]], None]) -> Callable[[list[int], list[int]], None]:
        def guarded(ids: list[int], indices: list[int]) -> None:
            if self._broken:
                complete(ids, None)
                return
            try:
                call(ids, indices)
            except BaseException as error:
                self._note(error)
                with self._kept():
                    complete(ids, None)

        return guarded

    def quiet(self, call: Callable[..., None]) -> Callable[..., None]:
        """The call, with its exceptions noted and not raised."""

        def guarded(*arguments: Any) -> None:
            with self._kept():
                call(*arguments)

        return guarded

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._note(error)

    def _note(self, error: BaseException) -> None:
        self._broken = True
        self._fail(error)
