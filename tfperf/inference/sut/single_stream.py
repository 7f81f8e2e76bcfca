"""SingleStream: one sample at a time, run within the callback out of inputs that were staged before the clock."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.model import Model, wrong_rows


class SingleStream:
    """The SUT of SingleStream.

    Attributes:
        issue: runs the sample and answers it before it returns.
    """

    def __init__(self, model: Model, answers: Answers) -> None:
        size = model.size_for(1)
        model.library.keep_staged(size)
        self.issue = _inline(model, answers, size)

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """There is no thread to end."""


def _inline(model: Model, answers: Answers, size: int) -> Callable[[list[int], list[int]], None]:
    """The callback. All it needs is bound to names of its own, since its time is part of each latency.

    Its rows are written after the answer, which ends the latency as LoadGen sees it. The execution starts when the
    query is issued, so `queue_ns` and `staging_ns` stay at the 0 that a new recording holds.
    """
    run, respond = model.served.executable.run, model.served.respond
    complete, staged = answers.complete, model.library.staged
    head, capacity = answers.recording.head, answers.recording.capacity
    issued_ns, latency_ns, _ = answers.recording.queries
    started_ns, _, compute_ns, samples = answers.recording.executions
    words = Recording.issued_word, Recording.completed_word, Recording.samples_word, Recording.executions_word
    issued_word, completed_word, samples_word, executions_word = words
    done = 0
    answered: list[int] = []

    def issue(ids: list[int], indices: list[int]) -> None:
        nonlocal done
        issued = perf_counter_ns()
        head[issued_word] = done + 1
        if answers.failed:
            answers.give_nothing(ids)
            return
        try:
            inputs = staged[indices[0]]
            if inputs is None:
                model.library.rows_of(indices)  # raises: the sample is not loaded
            outputs = run(inputs)
            computed = perf_counter_ns()
            if len(outputs) != size:
                raise wrong_rows("The model", expected=size, got=len(outputs))
            responses = respond(outputs if size == 1 else outputs[:1])
            if len(responses) != 1:
                raise wrong_rows("`respond`", expected=1, got=len(responses))
            complete(ids, responses)
            ids = answered  # what fails from here on finds nothing left to answer
            if done < capacity:
                latency_ns[done] = perf_counter_ns() - issued
                issued_ns[done] = started_ns[done] = issued
                compute_ns[done], samples[done] = computed - issued, 1
            done += 1
            head[executions_word] = head[samples_word] = head[completed_word] = done
        except BaseException as error:  # LoadGen crashes the process when a callback raises
            answers.give_up(error, ids)

    return issue
