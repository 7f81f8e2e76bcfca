"""The manifest of a run directory: its files with their SHA-256."""

from __future__ import annotations

import hashlib
import json
import pathlib

from tfperf import json_text, whole_file

NAME = "manifest.json"

_PROFILES = "plugins/profile/"  # TensorBoard's profile plugin caches here what it has shown


def write(run_dir: pathlib.Path, *, division: str, code_version: str) -> None:
    """Writes `manifest.json`: the digest of every file of the run, its division and its code version."""
    files = sorted(path for path in run_dir.rglob("*") if path.is_file() and path != run_dir / NAME)
    content = {
        "division": division,
        "code_version": code_version,
        "files": {path.relative_to(run_dir).as_posix(): _digest(path) for path in files},
    }
    whole_file.write(run_dir / NAME, json.dumps(content, indent=2) + "\n")


def differences(run_dir: pathlib.Path) -> tuple[str, ...]:
    """The files that differ from the manifest: changed, missing or added.

    Files added beside a profile are left out.

    Raises:
        OSError: there is no manifest.
        ValueError: the manifest can't be read.
    """
    content = json_text.parse((run_dir / NAME).read_text(encoding="utf-8"))
    recorded = content.get("files") if isinstance(content, dict) else None
    if not isinstance(recorded, dict):
        raise ValueError("it lists no files")
    present = {
        path.relative_to(run_dir).as_posix(): path
        for path in run_dir.rglob("*")
        if path.is_file() and path != run_dir / NAME
    }
    changed = [
        f"{name} was changed" for name in recorded if name in present and _digest(present[name]) != recorded[name]
    ]
    missing = [f"{name} is missing" for name in recorded if name not in present]
    added = [f"{name} was added" for name in sorted(present) if name not in recorded and not name.startswith(_PROFILES)]
    return (*changed, *missing, *added)


def _digest(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
