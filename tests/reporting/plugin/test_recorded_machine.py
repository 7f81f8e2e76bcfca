"""The machine over time on the page."""

import pytest

from tests.reporting.test_machine_series import lines
from tfperf import telemetry_log


def test_the_page_gets_them_and_follows_a_run(runs, board):
    run_dir = runs.training("trained")
    assert board(runs.logdir).run("trained")["machine_series"] == {}
    path = run_dir / telemetry_log.NAME
    path.write_text("".join(f"{line}\n" for line in lines(3)[:-1]))
    shown = board(runs.logdir)
    assert shown.run("trained")["machine_series"]["seconds"] == [1, 2, 3]
    path.write_text("".join(f"{line}\n" for line in lines(4)))
    assert shown.run("trained")["machine_series"]["windows"][0]["name"] == "training"


@pytest.mark.parametrize("content", ["[]\n", '{"telemetry": 9}\n', "x\n"])
def test_a_damaged_file_leaves_the_rest_of_the_page(runs, board, content):
    run_dir = runs.training("trained")
    (run_dir / telemetry_log.NAME).write_text(content)
    shown = board(runs.logdir).run("trained")
    assert shown["verdict"] == "VALID"
    assert telemetry_log.NAME in shown["machine_series"]["reason"]
