"""Writes tests/golden/ssd_outputs.npz: what MLPerf's reference computes with the weights that the tests draw.

Run it with PyTorch, torchvision and retired_benchmarks/ssd-v1/ssd of mlcommons/training importable:

    python -m tests.benchmarks.ssd.reference_oracle
"""

import pathlib

import base_model
import numpy as np
import ssd300
import torch
import torchvision

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
    )


if __name__ == "__main__":
    main()
