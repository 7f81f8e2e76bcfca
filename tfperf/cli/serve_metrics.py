"""Exposes the newest result of each series, its alerts and what is running to Prometheus.

usage: tfperf serve-metrics [PATH] [--port=9464]
       tfperf serve-metrics --write_rules DIR

PATH is a directory of runs as for tfperf history, `runs` by default. It is read anew at each scrape, also while runs
are being written. --write_rules writes recording and alerting rules, and a dashboard for Grafana.

Exit code 0 when it is ended by Ctrl-C; 2 if the port is taken.
"""

from __future__ import annotations

import pathlib
import sys
import threading

from absl import flags

from tfperf import whole_file
from tfperf.cli.printable import printable
from tfperf.errors import UsageError

_PORT = 9464  # of OpenTelemetry's Prometheus exporter, which users of metrics of their own know


def define_flags() -> None:
    """The flags of `tfperf serve-metrics`."""
    flags.DEFINE_integer("port", _PORT, "The port to listen on; 0 takes a free one.", lower_bound=0, upper_bound=65535)
    flags.DEFINE_string(
        "host", "127.0.0.1", "The address to listen on. Other machines can connect to any but a loopback address."
    )
    flags.DEFINE_list(
        "allow", [], "Count runs in spite of a flaw: invalid, internal, incomplete, edited, missed, clock."
    )
    flags.DEFINE_string("write_rules", None, "Write tfperf-rules.yml and tfperf-dashboard.json here, and end.")
    flags.DEFINE_float("no_run_days", 2.0, "Days without a run after which a rule fires.", lower_bound=0.01)


def main(arguments: list[str]) -> int:
    """Serves until it is interrupted."""
    values = flags.FLAGS
    if values.write_rules is not None:
        _write_rules(pathlib.Path(values.write_rules).expanduser(), no_run_days=values.no_run_days)
        return 0
    from tfperf.history import exported
    from tfperf.reporting.prometheus import exposition

    if len(arguments) > 1:
        raise UsageError(f"serve-metrics takes one directory, got {' '.join(arguments)}.")
    store = pathlib.Path(arguments[0] if arguments else "runs").expanduser()
    found = exported.HistoryMetrics(store, allow=values.allow, say=_say)
    if not store.is_dir():
        raise UsageError(f"{store} is not a directory. Pass the one that holds the runs, such as runs.")
    found.readings()  # builds the index before the first scrape, and refuses a wrong --allow
    server = exposition.serve(found.readings, host=values.host, port=values.port)
    try:
        print(f"serving http://{values.host}:{server.server_port}/metrics of {store}", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.shutdown()
        server.server_close()
    return 0


def _write_rules(folder: pathlib.Path, *, no_run_days: float) -> None:
    from tfperf.reporting.prometheus import dashboard, rules

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("tfperf-rules.yml", rules.yaml_text(no_run_days=no_run_days)),
            ("tfperf-dashboard.json", dashboard.json_text()),
        ):
            whole_file.write(folder / name, text)
            print(folder / name)
    except OSError as error:
        raise UsageError(f"{folder} can't be written to: {error.strerror}. Choose another --write_rules.") from error


def _say(text: str) -> None:
    print(printable(f"tfperf serve-metrics: {text}"), file=sys.stderr, flush=True)
