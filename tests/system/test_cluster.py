"""TF_CONFIG names the workers of a run, or is refused with the reason."""

import json

import pytest

from tfperf.errors import UsageError
from tfperf.system import cluster


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "TF_CONFIG must be an object, got []"),
        ("[" * 100_000, "maximum recursion depth"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task' is missing"),
        ('{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}', 'cluster must be an object, got ["a:1"]'),
        ('{"cluster": {"worker": ["a:1"]}, "task": 0}', "task must be an object, got 0"),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', "'worker' is missing"),
        ('{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}', "'worker' is missing"),
        (
            '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
            'worker must be a list of "host:port", got "a:1"',
        ),
        *(
            (
                '{"cluster": {"worker": ["a:1", ' + address + ']}, "task": {"type": "worker", "index": 0}}',
                f'worker must be a list of "host:port", got {address} in it',
            )
            for address in ("2", '"a"', '":1"', '"a:0"', '"a:70000"', '"a:1:2"', '"a b:1"', "null", '"http://a:1"')
        ),
        (
            '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
            "a:1 stands for more than one worker",
        ),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
            "cluster names ps, only workers and a chief take part",
        ),
        (
            '{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
            "chief has 2 addresses, one is accepted",
        ),
        *(
            (
                '{"cluster": {"worker": ["a:1"]}, "task": ' + task + "}",
                f"task {task} is not one of 1 workers",
            )
            for task in (
                '{"type": "ps", "index": 0}',
                '{"type": "chief", "index": 0}',
                '{"type": "worker", "index": 1}',
                '{"type": "worker", "index": -1}',
                '{"type": ["worker"], "index": 0}',
            )
        ),
        *(
            (
                '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": ' + index + "}}",
                f"the task's index must be a number, got {index}",
            )
            for index in ("true", "0.5", '"one"', "null")
        ),
    ],
)
def test_a_cluster_that_can_not_be_read_is_refused(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    accepted = r'TF_CONFIG must look like \{"cluster": \{"worker": \["host:port", ...\]\}'
    with pytest.raises(UsageError, match=accepted) as refused:
        cluster.from_environment()
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("task", "index"), [(("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)], ids=lambda value: str(value)
)
def test_a_chief_is_worker_0(task: tuple[str, int], index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {"chief": ["[::1]:1"], "worker": ["10.0.0.2:2222", "c.example:3"]}
    config = {"cluster": hosts, "task": dict(zip(("type", "index"), task, strict=True))}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    found = cluster.from_environment()
    assert found.addresses == ("[::1]:1", "10.0.0.2:2222", "c.example:3")
    assert (found.workers, found.index, found.is_chief) == (3, index, index == 0)
    assert found.name(1) == "worker 1 (10.0.0.2:2222)"


def test_without_tf_config_there_is_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.from_environment() == cluster.Cluster()
    assert (cluster.from_environment().workers, cluster.from_environment().is_chief) == (1, True)
