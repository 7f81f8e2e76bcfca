"""SingleStream: one sample at a time, run within the callback.

Before a sample is issued, it is in host memory. The copy to an accelerator is part of its latency.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.batch_runner import BatchRunner, check_outputs, check_responses


class SingleStreamSut:
    """The SUT for SingleStream.

    Attributes:
        issue: runs the sample and answers it before it returns.
    """

    def __init__(self, runner: BatchRunner, answers: Answers) -> None:
        sizes = {length: sizes[0] for length, sizes in zip(runner.library.lengths, runner.batch_sizes, strict=True)}
        runner.library.keep_ready(sizes)
        self.issue = _inline(runner, answers, tuple(sizes.values()))

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """There is no thread to end."""


def _inline(
    runner: BatchRunner, answers: Answers, batch_sizes: tuple[int, ...]
) -> Callable[[list[int], list[int]], None]:
    """The callback. Its time is part of each latency, so everything it needs is a local variable.

    It writes its rows after the answer, which ends the latency that LoadGen measures. Without a copy the execution
    starts when the query is issued, so `queue_ns` and `staging_ns` stay 0, as in a new recording.
    """
    executable, respond = runner.served.executable, runner.served.respond
    run, stage, copies = executable.run, executable.stage, not executable.host_memory
    complete, ready = answers.complete, runner.library.ready
    head, capacity = answers.recording.head, answers.recording.capacity
    issued_ns, latency_ns, queue_ns = answers.recording.queries
    started_ns, staging_ns, compute_ns, samples, samples_length, executed_size, executed_length = (
        answers.recording.executions
    )
    words = Recording.issued_word, Recording.completed_word, Recording.samples_word, Recording.executions_word
    issued_word, completed_word, samples_word, executions_word = words
    lengths, length_indices, own_lengths = (
        runner.library.lengths,
        runner.library.length_indices,
        runner.library.own_lengths,
    )
    several_lengths, size, length = len(lengths) > 1, batch_sizes[0], lengths[0] or 0
    has_length, several_outputs = bool(length), len(executable.outputs) > 1
    done = 0
    answered: list[int] = []

    def issue(ids: list[int], indices: list[int]) -> None:
        nonlocal done, size, length
        issued = started = perf_counter_ns()
        head[issued_word] = done + 1
        if answers.failed:
            answers.give_nothing(ids)
            return
        try:
            inputs = ready[indices[0]]
            if inputs is None:
                runner.library.rows_of(indices)  # raises: the sample is not loaded
            if copies:
                inputs = stage(inputs)
                started = perf_counter_ns()
            outputs = run(inputs)
            computed = perf_counter_ns()
            if several_lengths:
                length_index = length_indices[indices[0]]
                size, length = batch_sizes[length_index], lengths[length_index] or 0
            if several_outputs or len(outputs[0]) != size:
                check_outputs(outputs, size)
            responses = respond(outputs if size == 1 else tuple(output[:1] for output in outputs), indices)
            if len(responses) != 1:
                check_responses(responses, 1)
            complete(ids, responses)
            ids = answered  # if something fails from here on, nothing is left to answer
            row = done % capacity
            latency_ns[row] = perf_counter_ns() - issued
            issued_ns[row], started_ns[row] = issued, started
            compute_ns[row], samples[row] = computed - started, 1
            if copies:
                queue_ns[row] = staging_ns[row] = started - issued
            executed_size[row], executed_length[row] = size, length
            if has_length:
                samples_length[row] = own_lengths[indices[0]]
            done += 1
            head[executions_word] = head[samples_word] = head[completed_word] = done
        except BaseException as error:  # LoadGen crashes the process when a callback raises
            answers.give_up(error, ids)

    return issue
