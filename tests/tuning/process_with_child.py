"""A trial's process that starts a child and never ends: `python -m tests.tuning.process_with_child DIRECTORY PID`."""

import os
import pathlib
import signal
import subprocess
import sys

CHILD = "child.txt"

if __name__ == "__main__":
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    partial = pathlib.Path(sys.argv[1]) / f"{CHILD}.partial"
    partial.write_text(str(child.pid), encoding="utf-8")
    os.replace(partial, partial.with_suffix(""))
    signal.pause()
