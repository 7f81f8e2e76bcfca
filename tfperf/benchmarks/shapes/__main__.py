"""Draws every `step`-th scene of a split to stdout, one JSON object to a line: a worker of `builder`.

`python -m tfperf.benchmarks.shapes SPLIT START STOP STEP`
"""

from __future__ import annotations

import base64
import json
import signal
import sys
from typing import Any

from tfperf.benchmarks.shapes import draw


def main(arguments: list[str]) -> None:
    """Draws; ends silently when the reader is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    split, bounds = arguments[0], arguments[1:]
    for index in range(*map(int, bounds)):
        print(json.dumps(record(split, index)))


def record(split: str, index: int) -> dict[str, Any]:
    """Scene number `index` of a split as in the data set, with the image as base64 text."""
    drawn = draw.example(split, index)
    return {
        "image": base64.b64encode(drawn.jpeg).decode(),
        "image/filename": f"{split}-{index:08d}.jpg",
        "image/id": index,
        "label": drawn.label,
        "objects": [
            {"bbox": shape.box, "label": shape.kind, "area": round(shape.area), "id": place, "is_crowd": False}
            for place, shape in enumerate(drawn.shapes)
        ],
        "caption": drawn.caption,
        "questions": [
            {"question": asked.question, "answer": asked.answer, "answer_start": asked.answer_start}
            for asked in drawn.questions
        ],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
