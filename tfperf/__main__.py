"""Runs the command line as `python -m tfperf`."""

import os
import sys

if sys.path[:1] == [os.getcwd()]:  # `python -m` looks there first, and so would run a json.py of a downloaded folder
    sys.path.append(sys.path.pop(0))

from tfperf.cli import main

if __name__ == "__main__":
    main.console()
