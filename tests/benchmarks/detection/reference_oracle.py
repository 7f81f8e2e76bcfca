"""Writes tests/golden/detection.npz: what MLPerf's references compute from the inputs that the tests draw.

Run it with PyTorch and torchvision importable, and a checkout of https://github.com/mlcommons/training:

    python -m tests.benchmarks.detection.reference_oracle .../training
"""

import importlib
import pathlib
import sys
import types
from typing import Any
from unittest import mock

import numpy as np
import torch

from tests.benchmarks.detection import drawn

_EVERY = 97  # of all default boxes, and of the anchors


def main(training: pathlib.Path) -> None:
    """Writes the file.

    Args:
        training: the checkout.
    """
    np.savez_compressed(drawn.GOLDEN, **_ssd(training), **_retinanet(training))


def _ssd(training: pathlib.Path) -> dict[str, np.ndarray]:
    utils, base_model = _modules(training / "retired_benchmarks/ssd-v1/ssd", "utils", "base_model")
    ratios = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
    scales = [21, 45, 99, 153, 207, 261, 315]
    boxes = utils.DefaultBoxes(300, [38, 19, 10, 5, 3, 1], [8, 16, 32, 64, 100, 300], scales, ratios)
    encoder, loss = utils.Encoder(boxes), base_model.Loss(boxes)
    found = {}
    for form in ("xywh", "ltrb"):
        every = boxes(order=form).numpy()
        found |= {f"ssd_{form}": every[::_EVERY], f"ssd_{form}_sum": every.sum(0, "float64")}
    objects = drawn.objects()
    for image, valid in enumerate(objects.valid):
        targets, classes = encoder.encode(
            torch.from_numpy(objects.boxes[image, valid]), torch.from_numpy(objects.classes[image, valid]).long()
        )
        matched = torch.nonzero(classes)[:, 0]
        found |= {
            f"ssd_matched_{image}": matched.numpy().astype("int32"),
            f"ssd_classes_{image}": classes[matched].numpy().astype("int32"),
            f"ssd_offsets_{image}": loss._loc_vec(targets.T[None])[0].T[matched].detach().numpy(),
        }
    given = drawn.predictions(1, background=0)
    offsets, logits = (_variable(part) for part in (given.offsets, given.logits))
    loss._loc_vec = lambda offsets: offsets
    of_each = []
    for image in range(len(given.logits)):
        part = [each[image : image + 1].transpose(1, 2) for each in (offsets, logits)]
        true = torch.from_numpy(given.true_offsets[image : image + 1]).transpose(1, 2)
        of_each.append(loss(*part, true, torch.from_numpy(given.true_classes[image : image + 1]).long()))
    found |= _gradients("ssd", torch.stack(of_each), offsets, logits)
    offsets, logits = (torch.from_numpy(part).transpose(1, 2) for part in drawn.raw(8732, 81, seed=3, mean=0))
    for image, (kept, classes, scores) in enumerate(encoder.decode_batch(offsets, logits, 0.5, 200)):
        order = torch.argsort(scores, descending=True)
        found |= _detections(f"ssd_{image}", kept[order], scores[order], classes[order])
    return found


def _retinanet(training: pathlib.Path) -> dict[str, np.ndarray]:
    retinanet, utils = _modules(training / "retired_benchmarks/retinanet/ssd", "model.retinanet", "model.utils")
    sizes = tuple((size, int(size * 2 ** (1 / 3)), int(size * 2 ** (2 / 3))) for size in (32, 64, 128, 256, 512))
    generator = retinanet.AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5)
    images = types.SimpleNamespace(tensors=torch.zeros(1, 3, 800, 800), image_sizes=[(800, 800)])
    maps = [torch.zeros(1, 1, grid, grid) for grid in (100, 50, 25, 13, 7)]
    anchors = generator(images, maps)[0]
    found = {"anchors": anchors.numpy()[::_EVERY], "anchors_sum": anchors.numpy().sum(0, "float64")}
    matcher = utils.Matcher(0.5, 0.4, allow_low_quality_matches=True)
    coder = utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
    objects = drawn.objects()
    for image, valid in enumerate(objects.valid):
        boxes = torch.from_numpy(objects.boxes[image, valid]) * 800
        matches = matcher(retinanet.box_iou(boxes, anchors))
        matched = torch.nonzero(matches >= 0)[:, 0]
        found |= {
            f"retinanet_matched_{image}": matched.numpy().astype("int32"),
            f"retinanet_matches_{image}": matches[matched].numpy().astype("int32"),
            f"retinanet_ignored_{image}": torch.nonzero(matches == -2)[:, 0].numpy().astype("int32"),
            f"retinanet_offsets_{image}": coder.encode_single(boxes[matches[matched]], anchors[matched]).numpy(),
        }
    given = drawn.predictions(2, background=-1)
    offsets, logits = (_variable(part) for part in (given.offsets, given.logits))
    of_each = [_retinanet_loss(retinanet, given, offsets, logits, image) for image in range(len(given.logits))]
    found |= _gradients("retinanet", torch.stack(of_each), offsets, logits)
    levels = [9 * grid**2 for grid in (100, 50, 25, 13, 7)]
    offsets, logits = (torch.from_numpy(part) for part in drawn.raw(sum(levels), 3, seed=4, mean=-4))
    settings = types.SimpleNamespace(
        score_thresh=0.05, topk_candidates=1000, nms_thresh=0.5, detections_per_img=300, box_coder=coder
    )
    outputs = {"cls_logits": logits.split(levels, 1), "bbox_regression": offsets.split(levels, 1)}
    kept = retinanet.RetinaNet.postprocess_detections(settings, outputs, [anchors.split(levels)] * 2, [(800, 800)] * 2)
    for image, each in enumerate(kept):
        found |= _detections(f"retinanet_{image}", each["boxes"], each["scores"], each["labels"])
    return found


def _retinanet_loss(
    retinanet: Any, given: drawn.Predictions, offsets: torch.Tensor, logits: torch.Tensor, image: int
) -> torch.Tensor:
    """The loss of one image; each anchor with an object has an object of its own, its class and offsets."""
    classes = torch.from_numpy(given.true_classes[image]).long()
    matches = torch.where(classes >= 0, torch.arange(len(classes)), classes)
    targets = [{"labels": classes, "boxes": torch.from_numpy(given.true_offsets[image])}]
    coder = types.SimpleNamespace(encode_single=lambda boxes, anchors: boxes)
    part = {"cls_logits": logits[image : image + 1], "bbox_regression": offsets[image : image + 1]}
    ours = types.SimpleNamespace(BETWEEN_THRESHOLDS=-2, box_coder=coder)
    anchors = torch.zeros(1, len(classes), 4)
    of_classes = retinanet.RetinaNetClassificationHead.compute_loss(ours, targets, part, [matches])
    return of_classes + retinanet.RetinaNetRegressionHead.compute_loss(ours, targets, part, anchors, [matches])


def _modules(folder: pathlib.Path, *names: str) -> list[Any]:
    """Imports modules of a reference; the loggers that they also import do nothing here."""
    loggers = (
        "mlperf_logger",
        "ssd_logger",
        "mlperf_logging",
        "mlperf_logging.mllog",
        "mlperf_logging.mllog.constants",
    )
    sys.modules.update({name: mock.MagicMock() for name in loggers})
    sys.path.insert(0, str(folder))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.pop(0)


def _variable(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).requires_grad_()


def _gradients(name: str, losses: torch.Tensor, *variables: torch.Tensor) -> dict[str, np.ndarray]:
    """The loss of each image, and the gradients of their sum."""
    gradients = torch.autograd.grad(losses.sum(), variables)
    of_variables = zip(("offsets", "logits"), gradients, strict=True)
    return {
        f"{name}_loss": losses.detach().numpy(),
        **{f"{name}_loss_by_{part}": gradient.numpy() for part, gradient in of_variables},
    }


def _detections(name: str, boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor) -> dict[str, np.ndarray]:
    parts = {"boxes": boxes, "scores": scores, "classes": classes.int()}
    return {f"{name}_detected_{part}": values.numpy() for part, values in parts.items()}


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
