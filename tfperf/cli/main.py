"""The command line: finds the verb, parses its flags, and turns failures into messages and exit codes."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags, logging

from tfperf.cli import fault
from tfperf.cli.printable import printable
from tfperf.errors import TfperfError

VERBS = {
    "train": "train a benchmark to its quality target, on the clock",
    "infer": "measure how fast a trained model serves, under LoadGen",
    "evaluate": "measure any Keras model under the load of its users; internal, never a result",
    "sweep": "vary the fields of a run and find the best values; internal, never a result",
    "check": "check logs and run directories with the official checker",
    "compare": "hold runs against each other: a regression, or noise?",
    "history": "list the runs of a directory over time, with trends and changes of level",
    "report": "put runs on one page: verdicts, figures with intervals, what differs, who leads",
    "plan": "say how many systems a rate needs under a latency bound, from what one carries",
    "serve-metrics": "expose the results of a directory, and what is running, to Prometheus",
    "prepare": "convert a data set to the layout that training reads",
    "list": "list benchmarks, configs and devices",
}

_CHATTER = (
    "`FeatureConnector.dtype` is deprecated",
    "Using custom data configuration",
    "Fingerprint was found, but there was an error",  # followed by a traceback; the model itself may be whole
)

# Modules that define flags for several verbs.
_SHARED = ("tfperf.cli.shared_flags", "tfperf.cli.published_metrics")
_USAGE = "usage: tfperf VERB [--flags]     tfperf VERB --help lists the flags of a verb     tfperf --version"


def console() -> None:
    """The entry point of the `tfperf` script."""
    sys.exit(main(sys.argv))


def main(argv: Sequence[str]) -> int:
    """Runs one verb.

    Args:
        argv: the program's name, the verb, its flags and arguments.

    Returns:
        The exit code: 0 done and valid; 1 failure; 2 usage or config; 3 INVALID; 4 target missed; 5 regression; 6
        check failed; 7 inconclusive; 130 interrupted.
    """
    _survive_any_text()
    try:
        code = _answer(argv)
        sys.stdout.flush()  # here, where a closed pipe can still be reported
    except BrokenPipeError:  # the reader of our output, such as head, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _survive_any_text() -> None:
    """Escapes what the encoding of a stream lacks, such as the names of files that are not Unicode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _answer(argv: Sequence[str]) -> int:
    if len(argv) < 2 or argv[1] in ("--help", "-h", "help"):
        print(_help())
        return 0 if len(argv) > 1 else 2
    verb = argv[1]
    if verb in ("--version", "version"):
        from tfperf.system import environment

        print(f"tfperf {environment.code_version()}")
        return 0
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        _say(f"tfperf: unknown verb {verb!r}.{hint} Accepted: {', '.join(VERBS)}.\n{_USAGE}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)  # the data libraries log a lot at INFO
    logging.get_absl_handler().addFilter(_is_for_the_user)
    try:
        return _run(verb, argv)
    except KeyboardInterrupt:
        _say("tfperf: interrupted.")
        return 130
    except TfperfError as error:
        _say(f"tfperf {verb}: {error}")
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        _say(fault.report(error, verb=verb))
        return fault.exit_code(error)


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


def _is_for_the_user(record: Any) -> bool:
    """Leaves out what libraries warn their own developers of."""
    return not any(text in record.getMessage() for text in _CHATTER)


def _run(verb: str, argv: Sequence[str]) -> int:
    module = importlib.import_module(f"tfperf.cli.{verb.replace('-', '_')}")
    module.define_flags()
    if any(argument in ("--help", "-h") for argument in argv[2:]):
        print(f"tfperf {verb}: {VERBS[verb]}\n{module.__doc__}\n{_flags_help(module.__name__)}")
        return 0
    try:
        given = module.words(list(argv[2:])) if verb == "compare" else argv[2:]
        arguments = flags.FLAGS([f"tfperf {verb}", *given])[1:]
    except flags.Error as error:
        _say(f"tfperf {verb}: {error}\ntfperf {verb} --help lists the flags.")
        return 2
    code: int = module.main(arguments)
    return code


def _help() -> str:
    verbs = "\n".join(f"  {verb:<15}{summary}" for verb, summary in VERBS.items())
    return f"tfperf measures TensorFlow systems by the rules of MLPerf.\n\n{_USAGE}\n\n{verbs}"


def _flags_help(module: str) -> str:
    by_module = flags.FLAGS.flags_by_module_dict()
    names = {flag.name: flag for owner in (module, *_SHARED) for flag in by_module.get(owner, ())}
    lines = []
    for name, flag in sorted(names.items()):
        default = "" if flag.default in (None, False, []) else f" (default: {flag.default})"
        lines.append(f"  --{name}: {flag.help}{default}")
    return "\n".join(lines)
