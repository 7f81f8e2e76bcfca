"""The options of the SSD model and its input."""

from __future__ import annotations

import dataclasses
import math

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class SsdOptions:
    """SSD and its input; the defaults are MLPerf's SSD300-ResNet34 for COCO.

    The first feature map comes from the residual network, at an eighth of the image. Each further map is smaller and
    has an entry in the `extra_` options.

    Args:
        image_size: height and width of the input, pixels.
        blocks: residual blocks in each of the three stages.
        width: filters of the first convolution; the stages have width * (1, 2, 4).
        classes: number of classes; the model has one more, the background, which is its class 0.
        extra_widths: filters of each further map.
        extra_strides: 2 halves the map; 1 takes a margin of one cell off.
        steps: pixels from cell to cell in each map, for the default boxes.
        scales: length of the square default box of each map, and one more after the last map; pixels.
        ratios: for each map, width by height of its further default boxes, which come upright and lying.
        backbone: the weights of the residual network to start from, in the data directory: a `.safetensors` or `.npz`
            file with torchvision's names, such as those of its `resnet34`; null starts from the initialisers.
        max_samples: windows that are tried for each kind of random crop before another kind is drawn; null never crops.
    """

    image_size: int = 300
    blocks: tuple[int, ...] = (3, 4, 6)
    width: int = 64
    classes: int = 80
    extra_widths: tuple[int, ...] = (512, 512, 256, 256, 256)
    extra_strides: tuple[int, ...] = (2, 2, 2, 1, 1)
    steps: tuple[float, ...] = (8, 16, 32, 64, 100, 300)
    scales: tuple[float, ...] = (21, 45, 99, 153, 207, 261, 315)
    ratios: tuple[tuple[float, ...], ...] = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
    backbone: str | None = None
    max_samples: int | None = 1

    def __post_init__(self) -> None:
        extra = len(self.extra_widths)
        require(
            (self.image_size >= 32, "image_size", self.image_size, "32 or more"),
            (len(self.blocks) == 3 and min(self.blocks) > 0, "blocks", self.blocks, "3 positive counts"),
            (self.width > 0, "width", self.width, "1 or more"),
            (self.classes > 0, "classes", self.classes, "1 or more"),
            (all(w > 1 for w in self.extra_widths), "extra_widths", self.extra_widths, "counts of 2 or more"),
            (
                len(self.extra_strides) == extra and set(self.extra_strides) <= {1, 2},
                "extra_strides",
                self.extra_strides,
                f"{extra} times 1 or 2, one for each of extra_widths",
            ),
            (
                len(self.steps) == extra + 1 and all(step > 0 for step in self.steps),
                "steps",
                self.steps,
                f"{extra + 1} numbers above 0, one for each map",
            ),
            (
                len(self.scales) == extra + 2 and all(scale > 0 for scale in self.scales),
                "scales",
                self.scales,
                f"{extra + 2} numbers above 0, one for each map and one more",
            ),
            (
                len(self.ratios) == extra + 1 and all(ratio > 0 for each in self.ratios for ratio in each),
                "ratios",
                self.ratios,
                f"{extra + 1} tuples of numbers above 0, one for each map",
            ),
            (self.backbone != "", "backbone", self.backbone, "a path, or null"),
            (
                self.max_samples is None or self.max_samples > 0,
                "max_samples",
                self.max_samples,
                "1 or more, or null",
            ),
        )
        require(
            (
                min(self.grids) > 0,
                "extra_strides",
                self.extra_strides,
                f"such that each map has a cell at image_size={self.image_size}; the maps would have {self.grids} rows",
            )
        )

    @property
    def grids(self) -> tuple[int, ...]:
        """Rows, and columns, of each feature map."""
        grids = [math.ceil(self.image_size / 8)]
        for stride in self.extra_strides:
            grids.append(math.ceil(grids[-1] / 2) if stride == 2 else grids[-1] - 2)
        return tuple(grids)

    @property
    def boxes_per_cell(self) -> tuple[int, ...]:
        """Default boxes in a cell of each feature map."""
        return tuple(2 + 2 * len(ratios) for ratios in self.ratios)
