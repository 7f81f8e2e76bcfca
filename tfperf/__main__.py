"""Runs the command line as `python -m tfperf`."""

from tfperf.cli import main

if __name__ == "__main__":
    main.console()
