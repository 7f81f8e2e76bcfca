"""Writes tests/golden/ssd_outputs.npz: what MLPerf's reference computes with the weights that the tests draw.

Run it with PyTorch, torchvision, mlperf_logging and retired_benchmarks/ssd-v1/ssd of mlcommons/training importable:

    python -m tests.benchmarks.ssd.reference_oracle
"""

import pathlib

import base_model
import numpy as np
import ssd300
import torch
import torchvision
import utils

from tests.benchmarks.detection import drawn
from tests.benchmarks.detection.network import drawn_weights

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "ssd_outputs.npz"


def main() -> None:
    """Writes the file."""
    base_model.resnet34 = lambda pretrained: torchvision.models.resnet34()
    network = ssd300.SSD300(label_num=81).eval()
    state = network.state_dict()
    for name, tensor in state.items():
        if tensor.dim():
            state[name] = torch.from_numpy(drawn_weights.tensor(name, tuple(tensor.shape)))
    network.load_state_dict(state)
    images = torch.from_numpy(drawn_weights.images(1, 300).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        offsets, logits = (each.numpy().transpose(0, 2, 1) for each in network(images))
    kept = drawn_weights.some_rows(offsets.shape[1])
    np.savez_compressed(
        GOLDEN,
        boxes=offsets.shape[1],
        parameters=sum(each.numel() for each in network.parameters()),
        statistics=sum(each.numel() for each in network.buffers() if each.dim()),
        offsets=offsets[:, kept],
        logits=logits[:, kept],
        losses=_losses(),
    )


def _losses() -> np.ndarray:
    """The loss of each of the drawn images, for drawn predictions."""
    boxes = utils.DefaultBoxes(
        300,
        [38, 19, 10, 5, 3, 1],
        [8, 16, 32, 64, 100, 300],
        [21, 45, 99, 153, 207, 261, 315],
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
    )
    encoder, loss, objects = utils.Encoder(boxes), base_model.Loss(boxes), drawn.objects()
    offsets, logits = (torch.from_numpy(each).transpose(1, 2) for each in drawn.raw(8732, 81, seed=5, mean=0.0))
    found = []
    for image in range(len(offsets)):
        valid = objects.valid[image]
        targets, classes = encoder.encode(
            torch.from_numpy(objects.boxes[image, valid]), torch.from_numpy(objects.classes[image, valid]).long()
        )
        predicted = offsets[image : image + 1], logits[image : image + 1]
        found.append(loss(*predicted, targets.T[None], classes[None]).item())
    return np.array(found)


if __name__ == "__main__":
    main()
