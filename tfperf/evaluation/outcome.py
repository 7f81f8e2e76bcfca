"""What `tfperf.evaluate` returns: the result, as a table, as plain values, as a data frame."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from tfperf import errors, result
from tfperf.reporting import evaluation_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """An evaluation that ended. `print` shows its table.

    Attributes:
        result: all that was measured.
        run_dir: the directory with its files.
    """

    result: result.EvaluateResult
    run_dir: pathlib.Path

    def __str__(self) -> str:
        return evaluation_table.evaluate_table(self.result, run_dir=self.run_dir)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.result._repr_html_()

    @property
    def valid(self) -> bool:
        """Whether every number may be quoted."""
        return self.result.valid

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values, with `run_dir`, as `tfperf evaluate --format json` prints it."""
        return {**result.as_dict(self.result), "run_dir": str(self.run_dir)}

    def frame(self) -> Any:
        """A pandas frame with a row for each load.

        Raises:
            ArgumentError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError as error:
            raise errors.ArgumentError(
                "frame() needs pandas, which is not installed. Install it with pip install pandas, or use to_dict()."
            ) from error
        return pandas.DataFrame([evaluation_table.row(phase) for phase in self.result.phases])

    def raise_for_status(self) -> None:
        """Raises an error that fits the first cause, if the result is not valid.

        Raises:
            InterruptedRunError: the evaluation was interrupted.
            TimedOutError: a request hung.
            FailedRequestError: a request failed, or an answer holds NaN.
            LoadNotReachedError: a load was not reached.
        """
        if self.result.valid:
            return
        raise cause(self.result)


def cause(found: result.EvaluateResult) -> errors.TfperfError:
    """The error that stands for the first reason why a result is not valid. Its `exit_code` is that of the verb."""
    text = "; ".join(found.reasons)
    statuses = {phase.status for phase in found.phases}
    kind = getattr(errors, found.error, None) if found.error else None
    if isinstance(kind, type) and issubclass(kind, errors.TfperfError) and kind is not errors.ConfigError:
        return kind(text)
    if found.status == "incomplete" or "interrupted" in statuses:
        return errors.InterruptedRunError(text)
    if "hung" in statuses:
        return errors.TimedOutError(text)
    wrong = any(each.not_finite for each in found.judged) or any(each.not_finite for each in found.phases)
    if wrong or "failed" in statuses or found.status == "failed":
        return errors.FailedRequestError(text)
    return errors.LoadNotReachedError(text)
