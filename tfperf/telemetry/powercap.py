"""The energy counters of processors: RAPL, which Linux shows below /sys/class/powercap for Intel and AMD.

https://docs.kernel.org/power/powercap/powercap.html. A package contains its core and uncore zones, so these are left
out; its memory (`dram`) is not in it. `psys` is the whole platform, packages included, and is read apart.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Literal, TypeAlias

ROOT = pathlib.Path("/sys/class/powercap")

Kind: TypeAlias = Literal["package", "dram", "psys"]

_DRIVER = "intel-rapl"  # it also serves AMD's processors
# The same counters through memory-mapped registers: adding them would count a package twice.
_SAME_AGAIN = "-mmio"
_NO_ROOT = "this machine has no {root}: a virtual machine, a container without it, or a processor without RAPL"
_EMPTY = "{root} has no zone of a processor: no RAPL driver is loaded (intel_rapl_msr serves Intel and AMD)"
_ALLOW = (
    "{path} can't be read ({error}): only root may since CVE-2020-8694. Allow it with "
    "`sudo chmod a+r {path}`, or mount the folder into the container"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Zone:
    """One energy counter.

    Attributes:
        name: the part of the machine, such as `package-0` or `package-0 dram`.
        kind: package, dram or psys.
        path: its folder.
        max_uj: the reading after which it begins again at 0, in microjoules; None if the kernel doesn't say.
        reason: why it can't be read, and how to allow it; empty if it can.
    """

    name: str
    kind: Kind
    path: str
    max_uj: int | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processors:
    """The counters of the machine's processors.

    Attributes:
        zones: the counters, readable or not; empty if there are none.
        reason: why there are none; empty if there are.
    """

    zones: tuple[Zone, ...] = ()
    reason: str = ""


def find(root: pathlib.Path = ROOT) -> Processors:
    """The counters below `root`.

    Args:
        root: the folder of powercap; another one is where a container mounted it.
    """
    if not root.is_dir():
        return Processors(reason=_NO_ROOT.format(root=root))
    by_name: dict[str, Zone] = {}
    for again in ("", _SAME_AGAIN):
        for zone in _zones(root, f"{_DRIVER}{again}"):
            by_name.setdefault(zone.name, zone)
    if not by_name:
        return Processors(reason=_EMPTY.format(root=root))
    return Processors(zones=tuple(by_name.values()))


def read(zone: Zone) -> int | None:
    """The counter now, in microjoules; None if it can't be read."""
    try:
        with open(f"{zone.path}/energy_uj", "rb", buffering=0) as file:  # Path would take three times as long
            return int(file.read())
    except (OSError, ValueError):
        return None


def _zones(root: pathlib.Path, driver: str) -> Iterator[Zone]:
    """The zones of one driver. `<driver>:0` is a package, `<driver>:0:1` a part of it."""
    tops = sorted((path for path in root.glob(f"{driver}:*") if path.name.count(":") == 1), key=_number)
    for top in tops:
        name = _text(top / "name")
        if name == "psys":
            yield _zone(top, name=name, kind="psys")
        elif name.startswith("package"):
            yield _zone(top, name=name, kind="package")
            yield from _memory(root, top, package=name)


def _memory(root: pathlib.Path, top: pathlib.Path, *, package: str) -> Iterator[Zone]:
    """The zone of the package's memory, in the package's folder or beside it: the kernel shows both."""
    parts = {path.name: path for folder in (root, top) for path in folder.glob(f"{top.name}:*")}
    for path in sorted(parts.values(), key=_number):
        if _text(path / "name") == "dram":
            yield _zone(path, name=f"{package} dram", kind="dram")


def _zone(path: pathlib.Path, *, name: str, kind: Kind) -> Zone:
    counter = path / "energy_uj"
    try:
        int(counter.read_text(encoding="ascii"))
        reason = ""
    except PermissionError as error:
        reason = _ALLOW.format(path=counter, error=error.strerror)
    except (OSError, ValueError) as error:
        reason = f"{counter} can't be read ({error})"
    limit = _text(path / "max_energy_range_uj")
    return Zone(name=name, kind=kind, path=str(path), max_uj=int(limit) if limit.isdigit() else None, reason=reason)


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _number(path: pathlib.Path) -> tuple[int, ...]:
    """Sorts `intel-rapl:10` after `intel-rapl:9`."""
    return tuple(int(part) for part in path.name.split(":")[1:] if part.isdigit())
