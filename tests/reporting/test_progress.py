"""Tests of the progress line."""

import fcntl
import io
import os
import pty
import struct
import termios
import threading

import pytest

from tfperf import events
from tfperf.reporting import progress

START_S = 1_700_000_000.0
GOAL = progress.TrainingGoal(metric="accuracy", target=0.759, max_epochs=40)


def event(key, after_s, value=None, **metadata):
    return events.Event(key=key, time_s=START_S + after_s, value=value, metadata=metadata)


def evaluated(epoch, after_s, accuracy):
    return [
        event("eval_start", after_s - 1, epoch_num=epoch),
        event("eval_accuracy", after_s, accuracy, epoch_num=epoch, step=epoch * 100),
        event("tracked_stats", after_s, {"val_loss": 1.0, "val_accuracy": accuracy}, step=epoch * 100),
        event("eval_stop", after_s, epoch_num=epoch),
    ]


def training(epoch, after_s, loss):
    return [
        event("epoch_start", after_s, epoch_num=epoch),
        event("tracked_stats", after_s + 1, {"loss": loss, "throughput": 1234.4}, step=epoch * 100, epoch_num=epoch),
    ]


PREPARING = [event("submission_org", -31, "tfperf"), event("init_start", -30), event("init_stop", 0)]
RUN = [
    *PREPARING,
    event("run_start", 0),
    *training(1, 0, 6.9),
    *evaluated(1, 60, 0.1),
    *training(2, 60, 4.5),
    *evaluated(2, 120, 0.3),
    *training(3, 120, 3.25),
    *evaluated(3, 180, 0.42),
    *training(4, 180, 2.125),
]
STOP = [*evaluated(4, 240, 0.7601), event("run_stop", 240.125, status="success", epoch_num=4)]


class Clock:
    def __init__(self):
        self.after_s = 0.0

    def __call__(self):
        return START_S + self.after_s


def followed(stream, *, interactive, clock=None):
    # An hour between drawings: what a test sees is what it drew itself.
    return progress.Progress(
        stream,
        metric="accuracy",
        target=0.759,
        max_epochs=40,
        interactive=interactive,
        clock=clock or Clock(),
        every_s=3600,
    )


def state_after(history):
    state = progress.State()
    for each in history:
        state = progress.after(state, each)
    return state


def test_without_a_terminal_it_writes_one_line_per_evaluation():
    stream = io.StringIO()
    sink = followed(stream, interactive=False)
    for each in [*RUN, *STOP]:
        sink.emit(each)
    sink.close()

    assert stream.getvalue() == (
        "preparing, the clock is not running yet\n"
        "epoch 1/40  accuracy 0.1000 of 0.7590  1:00 on the clock, -- to target  loss 6.9000  1,234 examples/s\n"
        "epoch 2/40  accuracy 0.3000 of 0.7590  2:00 on the clock, -- to target  loss 4.5000  1,234 examples/s\n"
        "epoch 3/40  accuracy 0.4200 of 0.7590  3:00 on the clock, about 6:37 to target"
        "  loss 3.2500  1,234 examples/s\n"
        "epoch 4/40  accuracy 0.7601 of 0.7590  4:00 on the clock, about 0:00 to target"
        "  loss 2.1250  1,234 examples/s\n"
        "target reached: accuracy 0.7601 of 0.7590  epoch 4  240.12 s on the clock\n"
    )


def test_a_run_that_ends_after_a_number_of_steps_shows_steps():
    stream = io.StringIO()
    sink = progress.Progress(stream, metric="accuracy", target=0.759, max_steps=12_000, interactive=False)
    history = [each for each in RUN if each.key != "epoch_start"]
    for each in [*history, *evaluated(4, 240, 0.7), event("run_stop", 240.125, status="aborted", epoch_num=51_200)]:
        sink.emit(each)
    sink.close()

    assert stream.getvalue().splitlines()[3:] == [
        "step 300/12,000  accuracy 0.4200 of 0.7590  3:00 on the clock, about 6:37 to target"
        "  loss 3.2500  1,234 examples/s",
        "step 400/12,000  accuracy 0.7000 of 0.7590  4:00 on the clock, about 0:26 to target"
        "  loss 2.1250  1,234 examples/s",
        "aborted: accuracy 0.7000 of 0.7590  step 400  240.12 s on the clock",
    ]


@pytest.mark.parametrize("ends", [{}, {"max_epochs": 4, "max_steps": 400}])
def test_a_run_ends_after_epochs_or_after_steps(ends):
    with pytest.raises(ValueError, match=r"One of max_epochs and max_steps is needed, got "):
        progress.TrainingGoal(metric="accuracy", target=0.759, **ends)


def test_on_a_terminal_it_writes_over_its_line_and_clears_it_at_the_end():
    stream, clock = io.StringIO(), Clock()
    sink = followed(stream, interactive=True, clock=clock)
    sink.draw()
    for each in PREPARING:
        sink.emit(each)
    clock.after_s = -18
    sink.draw()
    for each in RUN[len(PREPARING) :]:
        sink.emit(each)
    clock.after_s = 200
    sink.draw()
    for each in STOP:
        sink.emit(each)
    sink.draw()
    sink.close()
    sink.draw()
    sink.close()

    assert stream.getvalue().replace("\x1b[K", "<").split("\r")[1:] == [
        "preparing, the clock is not running yet<",
        "preparing 0:12, the clock is not running yet<",
        "epoch 4/40  accuracy 0.4200 of 0.7590  3:20 on the clock, about 6:17 to target  loss 2.1250<",
        "target reached: accuracy 0.7601 of 0.7590  epoch 4  240.12 s on the clock<\n",
        "the clock has stopped, writing the result<",
        "<",
    ]


def test_an_aborted_run_says_so():
    stream = io.StringIO()
    sink = followed(stream, interactive=False)
    for each in [*RUN, event("run_stop", 185, status="aborted", epoch_num=4)]:
        sink.emit(each)
    sink.close()

    assert stream.getvalue().splitlines()[-1] == "aborted: accuracy 0.4200 of 0.7590  epoch 4  185.00 s on the clock"


def test_says_when_it_evaluates_and_that_nothing_is_known_yet():
    state = state_after([*PREPARING, event("run_start", 0), event("epoch_start", 0, epoch_num=1)])
    state = progress.after(state, event("eval_start", 10, epoch_num=1))

    assert progress.live_text(state, goal=GOAL, now_s=START_S + 11) == (
        "epoch 1/40, evaluating  accuracy -- of 0.7590  0:11 on the clock, -- to target  loss --  -- examples/s"
    )


def test_a_run_that_takes_longer_than_expected_is_not_about_to_end():
    line = progress.live_text(state_after(RUN), goal=GOAL, now_s=START_S + 3000)

    assert "  50:00 on the clock, -- to target  " in line


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (12, "epoch 4/40"),
        (40, "epoch 4/40  accuracy 0.4200 of 0.7590"),
        (80, "epoch 4/40  accuracy 0.4200 of 0.7590  3:20 on the clock, about 6:17 to target"),
        (6, "epoch"),
    ],
)
def test_the_line_fits_the_terminal_without_half_a_number(columns, line):
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clock = Clock()
    clock.after_s = 200
    with open(follower, "w", encoding="utf-8") as terminal:
        sink = followed(terminal, interactive=True, clock=clock)
        for each in RUN:
            sink.emit(each)
        sink.draw()
        drawn = os.read(leader, 1000).decode()
        sink.close()
    os.close(leader)

    assert drawn == f"\r{line}\x1b[K"


def test_draws_by_itself():
    enough = threading.Event()

    class Drawn(io.StringIO):
        def flush(self):
            if self.getvalue().count("\r") >= 3:
                enough.set()

    sink = progress.Progress(
        Drawn(), metric="accuracy", target=0.759, max_epochs=40, interactive=True, clock=Clock(), every_s=0.001
    )
    assert enough.wait(30)
    sink.close()


def rising(*qualities, every_s=60.0):
    return tuple(
        progress.EvaluatedQuality(on_clock_s=every_s * epoch, epoch=epoch, quality=quality)
        for epoch, quality in enumerate(qualities, start=1)
    )


def test_the_time_to_target_follows_the_logarithm_of_time():
    evaluations = tuple(
        progress.EvaluatedQuality(on_clock_s=60.0 * epoch, epoch=epoch, quality=quality)
        for epoch, quality in [(1, 0.2), (2, 0.4), (4, 0.6)]
    )
    goal = progress.TrainingGoal(metric="accuracy", target=0.8, max_epochs=40)

    assert progress.time_to_target_s(evaluations, goal=goal) == pytest.approx(480)
    before_training = progress.EvaluatedQuality(on_clock_s=5.0, quality=0.1)
    assert progress.time_to_target_s((before_training, *evaluations), goal=goal) == pytest.approx(480)
    assert progress.time_to_target_s((before_training, *evaluations[:2]), goal=goal) is None


@pytest.mark.parametrize(
    "evaluations",
    [
        (),
        rising(0.1, 0.3),
        rising(0.5, 0.5, 0.5),
        rising(0.5, 0.4, 0.3),
        rising(0.500, 0.501, 0.502),
        rising(0.1, float("nan"), 0.3),
        rising(0.1, 0.2, 0.3, every_s=0.0),
    ],
    ids=["none", "two", "flat", "falling", "beyond the last epoch", "not a number", "clock that stands"],
)
def test_the_time_to_target_is_unknown(evaluations):
    assert progress.time_to_target_s(evaluations, goal=GOAL) is None


def test_the_time_to_target_is_now_once_it_is_reached():
    assert progress.time_to_target_s(rising(0.5, 0.7, 0.8), goal=GOAL) == pytest.approx(180)
