"""What can go wrong by a user's hand, and the exit code that says so."""


class TfperfError(Exception):
    """A failure with a message for the user: what was received, what is accepted, what to do.

    The command line prints the message without a traceback and ends with `exit_code`.
    """

    exit_code = 1


class UsageError(TfperfError):
    """A flag, path or device that can't be used as given."""

    exit_code = 2


class ConfigError(UsageError):
    """Every violation found in a config, one to a line."""

    def __init__(self, violations: tuple[str, ...]) -> None:
        super().__init__("\n".join(violations))
        self.violations = violations


class MissingDataError(UsageError):
    """Data that is not where it should be, or not in the expected layout."""


class DamagedDataError(TfperfError):
    """Data that is there and can't be read: a truncated record, a corrupt image."""


class ArgumentError(UsageError, ValueError):
    """An argument of a Python call that can't be used as given."""
