"""`--show` draws the answers of the accuracy run, and is refused where there are none to draw."""

import dataclasses
import json
import pathlib

import pytest

from tfperf import benchmarks, config, loadgen_log
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.errors import UsageError
from tfperf.serving import feasibility, pictures

SAMPLES = OpenSamples(
    total=3, load=lambda indices: (), labels=lambda: "label", names=lambda: ("a", "b", "c"), fingerprint=""
)


def drawn(samples: OpenSamples, number: int, response: bytes) -> bytes:
    return f"{samples.names()[number]}: {response!r}".encode()


TASK = dataclasses.replace(benchmarks.task("ssd_mini", "infer"), picture=drawn)


def write_log(run_dir: pathlib.Path) -> None:
    (run_dir / "accuracy").mkdir()
    rows = [{"seq_id": 2 - n, "qsl_idx": n, "data": data} for n, data in ((2, "03"), (0, ""), (1, "0102"))]
    (run_dir / "accuracy" / loadgen_log.ACCURACY).write_text(json.dumps(rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2, {"000000.png": b"a: b''", "000001.png": b"b: b'\\x01\\x02'"}),
        (8, {"000000.png": b"a: b''", "000001.png": b"b: b'\\x01\\x02'", "000002.png": b"c: b'\\x03'"}),
    ],
)
def test_the_first_samples_are_drawn(count: int, expected: dict[str, bytes], tmp_path: pathlib.Path) -> None:
    write_log(tmp_path)
    pictures.draw(tmp_path, TASK, SAMPLES, count=count)
    assert {path.name: path.read_bytes() for path in (tmp_path / pictures.FOLDER).iterdir()} == expected


def test_nothing_is_drawn_without_a_wish_or_an_accuracy_run(tmp_path: pathlib.Path) -> None:
    pictures.draw(tmp_path, TASK, SAMPLES, count=2)
    write_log(tmp_path)
    pictures.draw(tmp_path, TASK, SAMPLES, count=0)
    assert not (tmp_path / pictures.FOLDER).exists()


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("resnet50-mini-offline", (), "--show 2: the answers of resnet50_mini can't be shown as pictures."),
        ("ssd-mini-offline", ("accuracy=false",), "--show draws answers of the accuracy run, which accuracy=false"),
    ],
)
def test_what_cannot_be_shown_is_refused(name: str, overrides: tuple[str, ...], message: str) -> None:
    spec = config.load_inference(name, task_of=benchmarks.task, overrides=overrides)
    with pytest.raises(UsageError, match=message):
        feasibility.check(spec, benchmarks.get(spec.benchmark), feasibility.RequestedExtras(show=2))
