"""The options of the ResNet model and its input."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """ResNet v1.5 and its input; the defaults are MLPerf's ResNet-50.

    Args:
        image_size: height and width of the input, pixels.
        blocks: bottleneck blocks in each stage.
        width: filters of the first convolution; the stages are width * (1, 2, 4, 8) narrow and 4 times that wide.
        classes: number of classes.
        label_smoothing: share of the target spread over all classes.
        least_crop_area: smallest share of the image that a training crop covers.
    """

    image_size: int = 224
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000
    label_smoothing: float = 0.1
    least_crop_area: float = 0.05

    def __post_init__(self) -> None:
        requirements = (
            (self.image_size >= 32, "image_size", self.image_size, "32 or more"),
            (
                len(self.blocks) in (1, 2, 3, 4) and all(n > 0 for n in self.blocks),
                "blocks",
                self.blocks,
                "1 to 4 positive counts",
            ),
            (self.width > 0, "width", self.width, "1 or more"),
            (self.classes > 1, "classes", self.classes, "2 or more"),
            (0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "0 to below 1"),
            (0 < self.least_crop_area <= 1, "least_crop_area", self.least_crop_area, "above 0 to 1"),
        )
        failures = [
            f"{name} must be {accepted}, got {value!r}." for holds, name, value, accepted in requirements if not holds
        ]
        if failures:
            raise ValueError("\n".join(failures))
