"""Writes tests/golden/retinanet_outputs.npz: what MLPerf's reference computes with the weights that the tests draw.

Run it with PyTorch, torchvision, and retired_benchmarks/retinanet/ssd of mlcommons/training and mlperf_logging
importable:

    python -m tests.benchmarks.retinanet.reference_oracle [IMAGE_SIZE] [FILE]

The golden file is of 160 pixels. At 800 pixels both agreed within 2e-6 of the range of the outputs.
"""

import pathlib
import sys

import numpy as np
import torch
from model import backbone_utils, feature_pyramid_network, retinanet

from tests.benchmarks.detection.network import drawn_weights

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "retinanet_outputs.npz"


def main(image_size: int = 160, path: pathlib.Path = GOLDEN) -> None:
    """Writes the file."""
    backbone = backbone_utils.resnet_fpn_backbone(
        "resnext50_32x4d",
        pretrained=False,
        returned_layers=[2, 3, 4],
        extra_blocks=feature_pyramid_network.LastLevelP6P7(256, 256),
        trainable_layers=3,
    )
    network = retinanet.RetinaNet(backbone=backbone, num_classes=264).eval()
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.dim():
            state[name] = torch.from_numpy(drawn_weights.tensor(name, tuple(tensor.shape)))
    network.load_state_dict(state)
    images = torch.from_numpy(drawn_weights.images(1, image_size).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        found = network.head(list(network.backbone(images).values()))
    offsets, logits = (found[name].numpy() for name in ("bbox_regression", "cls_logits"))
    kept = drawn_weights.some_rows(offsets.shape[1], wanted=60)
    np.savez_compressed(
        path,
        anchors=offsets.shape[1],
        trainable=sum(each.numel() for each in network.parameters() if each.requires_grad),
        total=sum(tensor.numel() for tensor in state.values() if tensor.dim()),
        offsets=offsets[:, kept],
        logits=logits[:, kept],
    )


if __name__ == "__main__":
    main(*(int(size) for size in sys.argv[1:2]), *(pathlib.Path(path) for path in sys.argv[2:]))
