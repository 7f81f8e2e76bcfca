"""Writes tests/golden/pytorch_optimizers.json: what PyTorch's optimizers make of drawn gradients.

Run it with PyTorch importable:

    python -m tests.training.pytorch_oracle
"""

import json
import pathlib

import numpy as np
import torch

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "pytorch_optimizers.json"
RATES = (0.1, 0.2, 0.2, 0.02, 0.02)


def main() -> None:
    """Writes the file."""
    random = np.random.default_rng(4)
    start, gradients = random.normal(size=6).tolist(), random.normal(size=(len(RATES), 6)).tolist()
    kinds = {
        "momentum": lambda weight: torch.optim.SGD([weight], lr=1.0, momentum=0.9, weight_decay=0.05),
        "adam": lambda weight: torch.optim.Adam([weight], lr=1.0, eps=1e-3),
    }
    found: dict[str, object] = {"rates": RATES, "start": start, "gradients": gradients}
    for name, build in kinds.items():
        weight = torch.nn.Parameter(torch.tensor(start))
        optimizer, weights = build(weight), []
        for rate, gradient in zip(RATES, gradients, strict=True):
            optimizer.param_groups[0]["lr"] = rate
            weight.grad = torch.tensor(gradient)
            optimizer.step()
            weights.append(weight.tolist())
        found[name] = weights
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
