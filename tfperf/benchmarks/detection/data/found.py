"""What readers of annotations return: both splits, their classes, and the damage in them."""

from __future__ import annotations

import dataclasses
import pathlib

from tfperf.benchmarks.detection.data.annotations import Annotations, ClassList
from tfperf.benchmarks.detection.data.damage import Findings


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotatedSplit:
    """The annotations of a split, and what was wrong with them."""

    annotations: Annotations
    findings: Findings


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundAnnotations:
    """A data set of annotated images.

    Attributes:
        folder: the folder that the files of the images are relative to.
        classes: the classes of both splits.
        train: the training images; those without objects are left out unless the source keeps them. None if they were
            not asked for.
        evaluation: the held-out images, those without objects too: what is found in them is a mistake.
    """

    folder: pathlib.Path
    classes: ClassList
    train: AnnotatedSplit | None
    evaluation: AnnotatedSplit

    @property
    def notes(self) -> tuple[str, ...]:
        """The damage in both splits, one line for each rule that was applied."""
        splits = {"training": self.train, "evaluation": self.evaluation}
        return tuple(f"{name}: {line}" for name, split in splits.items() if split for line in split.findings.lines)
