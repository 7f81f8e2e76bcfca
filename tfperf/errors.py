"""The errors that a user can cause, each with its exit code."""

_MOST_PRINTED = 100


class TfperfError(Exception):
    """A failure with a message for the user: what was received, what is accepted, what to do.

    The command line prints the message without a traceback and exits with `exit_code`.
    """

    exit_code = 1


class UsageError(TfperfError):
    """A flag, path or device that can't be used as given."""

    exit_code = 2


class ConfigError(UsageError):
    """All violations found in a config, one per line."""

    def __init__(self, violations: tuple[str, ...]) -> None:
        more = (f"and {len(violations) - _MOST_PRINTED:,} more",) if len(violations) > _MOST_PRINTED else ()
        super().__init__("\n".join((*violations[:_MOST_PRINTED], *more)))
        self.violations = violations


class MissingDataError(UsageError, FileNotFoundError):
    """Data that is missing or not in the expected layout."""


class DamagedDataError(TfperfError, ValueError):
    """Data that exists but can't be read, such as a truncated record or a corrupt image."""


class UnfitSampleError(TfperfError, ValueError):
    """A sample that does not fit the model that it is for."""


class ArgumentError(UsageError, ValueError):
    """An argument of a Python call that can't be used as given."""


class UnfitModelError(UsageError, ValueError):
    """A model that does not fit its data, or can't be evaluated as it is."""


class DeviceError(UsageError, RuntimeError):
    """A processor that is missing, can't do what was asked for, or is in use."""


class TimedOutError(TfperfError, TimeoutError):
    """Something that did not end in time, such as a request that hangs."""

    exit_code = 124


class InterruptedRunError(TfperfError, InterruptedError):
    """A run that was interrupted, by Ctrl-C or a signal."""

    exit_code = 130


class LoadNotReachedError(TfperfError, RuntimeError):
    """A load that was asked for and not reached, by the model or by the issuer of requests."""

    exit_code = 3


class FailedRequestError(TfperfError, RuntimeError):
    """A request that the model failed to answer, or answered with NaN."""
