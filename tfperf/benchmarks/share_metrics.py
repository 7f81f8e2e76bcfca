"""Quality metrics that are shares, from 0 to 1, by their names."""

from __future__ import annotations

import re

WORDS = "accuracy|acc|auc|precision|recall|sensitivity|specificity|iou|io_u|f1|f1_score|fbeta_score"
ROUNDING = 1e-5  # a mean of ones in float32 may be a little more than 1

_SHARE = re.compile(rf"(^|_)({WORDS})(_\d+)?$")


def is_share(metric: str) -> bool:
    """Whether values of this metric lie between 0 and 1."""
    return bool(_SHARE.search(metric))
