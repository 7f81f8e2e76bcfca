"""A worker that the network no longer reaches is named. Two network namespaces of this machine are the two hosts."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.run.started_workers import ENDLESS, ended, start, train, wait_for
from tfperf.compliance import checker

NETWORK = "10.77.0"
HEARTBEAT_S, REACTION_S = 6, 10
NOBODY = "02:00:00:00:00:99"  # a hardware address that no host has


class TwoHosts:
    """Two network namespaces with a cable between them."""

    def __init__(self, names: tuple[str, str]) -> None:
        self.names = names
        self.addresses = (f"{NETWORK}.1:2222", f"{NETWORK}.2:2222")
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", names[0], "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", names[1])
        for number, (name, interface) in enumerate(zip(names, ("v0", "v1"), strict=True), start=1):
            ip("-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", interface)
            ip("-n", name, "link", "set", interface, "up")

    def within(self, number: int, command: list[str]) -> list[str]:
        """The command, run on one of the hosts."""
        return ["nsenter", f"--net=/run/netns/{self.names[number]}", *command]

    def unplug(self) -> None:
        """Both hosts see that the cable is gone."""
        ip("-n", self.names[1], "link", "set", "v1", "down")

    def swallow(self) -> None:
        """Whatever a host sends is lost, and it sees nothing of that."""
        for name, interface, other in ((self.names[0], "v0", 2), (self.names[1], "v1", 1)):
            target = (f"{NETWORK}.{other}", "lladdr", NOBODY, "dev", interface, "nud", "permanent")
            ip("-n", name, "neigh", "replace", *target)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def two_hosts() -> Iterator[TwoHosts]:
    if shutil.which("ip") is None or shutil.which("nsenter") is None:
        pytest.skip("needs the commands ip and nsenter, of iproute2 and util-linux")
    names = (f"tfperf-{os.getpid()}-0", f"tfperf-{os.getpid()}-1")
    try:
        yield TwoHosts(names)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
    finally:
        for name in names:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [TwoHosts.unplug, TwoHosts.swallow])
def test_a_worker_that_is_cut_off_is_named_soon(
    cut: Callable[[TwoHosts], None], two_hosts: TwoHosts, tmp_path: pathlib.Path
) -> None:
    command = train(tmp_path, *ENDLESS)
    commands = [two_hosts.within(number, command) for number in (0, 1)]
    _, started = start(*commands, hosts=two_hosts.addresses)
    wait_for("eval_accuracy", tmp_path, started[0])
    since = time.monotonic()
    cut(two_hosts)
    told = ended(started)
    assert time.monotonic() - since < 2 * (HEARTBEAT_S + REACTION_S)  # the machine may be busy
    reason = "was lost: it was killed, hangs or can't be reached. See its own output."
    for (code, _, errors), other in zip(told, (1, 0), strict=True):
        named = f"tfperf train: worker {other} ({two_hosts.addresses[other]}) {reason}"
        assert (code, errors.splitlines()[-1]) == (1, named)
        assert "Traceback" not in errors
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "aborted"
    outcome = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert outcome["reasons"] == [f"worker 1 ({two_hosts.addresses[1]}) {reason}"]
