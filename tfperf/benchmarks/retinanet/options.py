"""The options of the RetinaNet model and its input."""

from __future__ import annotations

import dataclasses
import math

from tfperf.spec.requirement import require

_STAGES, _LEVELS = 4, 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetinaNetOptions:
    """RetinaNet and its input; the defaults are MLPerf's RetinaNet-ResNeXt50-32x4d-FPN for OpenImages.

    Args:
        image_size: height and width of the input, pixels.
        blocks: bottleneck blocks in each of the four stages.
        width: filters of the first convolution; the stages end with 4 * width * (1, 2, 4, 8).
        groups: groups of the 3x3 convolutions, each of width / 16 channels in the first stage: 32x4d.
        trained_stages: how many of the last stages are trained, of all four; 5 trains the first convolution too. Batch
            normalisation is never trained.
        pyramid_width: filters of the feature pyramid and of the heads.
        head_layers: convolutions of each head before the one that predicts.
        classes: number of classes; there is no background.
        sizes: for each of the five levels, the lengths of its square anchors, pixels.
        ratios: height by width of the anchors of each size.
        backbone: the weights of the residual network to start from, in the data directory: a `.safetensors` or `.npz`
            file with torchvision's names, such as those of its `resnext50_32x4d`; null starts from the initialisers,
            which needs all stages trained.
    """

    image_size: int = 800
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    groups: int = 32
    trained_stages: int = 3
    pyramid_width: int = 256
    head_layers: int = 4
    classes: int = 264
    sizes: tuple[tuple[int, ...], ...] = (
        (32, 40, 50),
        (64, 80, 101),
        (128, 161, 203),
        (256, 322, 406),
        (512, 645, 812),
    )
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    backbone: str | None = None

    def __post_init__(self) -> None:
        sizes = {len(each) for each in self.sizes}
        require(
            (self.image_size >= 32, "image_size", self.image_size, "32 or more"),
            (
                len(self.blocks) == _STAGES and min(self.blocks) > 0,
                "blocks",
                self.blocks,
                f"{_STAGES} positive counts",
            ),
            (self.width > 0, "width", self.width, "1 or more"),
            (
                self.groups > 0 and 2 * self.width % self.groups == 0,
                "groups",
                self.groups,
                f"a divisor of 2 * width = {2 * self.width}",
            ),
            (0 <= self.trained_stages <= _STAGES + 1, "trained_stages", self.trained_stages, f"0 to {_STAGES + 1}"),
            (self.pyramid_width > 0, "pyramid_width", self.pyramid_width, "1 or more"),
            (self.head_layers >= 0, "head_layers", self.head_layers, "0 or more"),
            (self.classes > 0, "classes", self.classes, "1 or more"),
            (
                len(self.sizes) == _LEVELS
                and len(sizes) == 1
                and all(size > 0 for each in self.sizes for size in each)
                and sizes != {0},
                "sizes",
                self.sizes,
                f"{_LEVELS} tuples of equally many lengths above 0",
            ),
            (
                bool(self.ratios) and all(ratio > 0 for ratio in self.ratios),
                "ratios",
                self.ratios,
                "one or more numbers above 0",
            ),
            (self.backbone != "", "backbone", self.backbone, "a path, or null"),
        )

    @property
    def grids(self) -> tuple[int, ...]:
        """Rows, and columns, of each level."""
        return tuple(math.ceil(self.image_size / 2**power) for power in range(3, 3 + _LEVELS))

    @property
    def anchors_per_cell(self) -> int:
        """Anchors in a cell of every level."""
        return len(self.sizes[0]) * len(self.ratios)
