import json
import pathlib

import numpy as np
import pytest

from tests.benchmarks.bert.squad import golden
from tfperf import spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.samples import open_samples
from tfperf.benchmarks.bert.squad.sources import ShapeQuestions, SquadFiles
from tfperf.benchmarks.shapes.vocabulary import VOCABULARY
from tfperf.errors import ConfigError, MissingDataError, UsageError

OPTIONS = golden.options(golden.CASES[1])
SHAPES = SquadOptions(encoder=Encoder(vocabulary_size=len(VOCABULARY)), sequence_length=64, question_length=16)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data directory with the golden questions to train on and to evaluate."""
    for name in ("train-v1.1.json", "dev-v1.1.json"):
        (tmp_path / name).write_bytes(golden.CONTENT)
    (tmp_path / "vocab.txt").write_text("\n".join(golden.GOLDEN["vocabulary"]), encoding="utf-8")
    return tmp_path


def opened(folder: pathlib.Path, options: SquadOptions = OPTIONS) -> OpenSamples:
    return open_samples(spec.Data(source=SquadFiles()), options, folder)


def test_samples_are_the_official_windows_in_their_order(folder: pathlib.Path) -> None:
    samples, windows = opened(folder), golden.CASES[1]["windows"]
    assert samples.total == len(windows)
    for sample, window in zip(samples.load(range(samples.total)), windows, strict=True):
        ids, mask, segments = sample
        assert [array.dtype for array in sample] == [np.int32] * 3
        assert ids.tolist() == window["ids"]
        assert mask.tolist() == [1] * len(window["ids"])
        assert segments.tolist() == window["segments"]
    assert samples.names()[:3] == ("q0-0-0", "q0-0-1", "q0-0-2")
    assert samples.names()[-1] == "q2-1"
    assert len(samples.names()) == samples.total


def test_samples_are_loaded_in_the_order_asked_for(folder: pathlib.Path) -> None:
    samples = opened(folder)
    found = [ids.tolist() for ids, _, _ in samples.load([5, 0, 5])]
    assert found == [golden.CASES[1]["windows"][number]["ids"] for number in (5, 0, 5)]
    with pytest.raises(ValueError, match=r"^Samples have the numbers 0 to 32, got 33\.$"):
        samples.load([33])


def test_calibration_is_spread_over_the_training_questions(folder: pathlib.Path) -> None:
    samples = opened(folder, golden.options(golden.CASES[0])).calibration(3)
    assert samples.names() == ("q0-0", "q0-3", "q1-1")
    assert samples.total == 3
    windows = golden.CASES[0]["windows"]
    assert [ids.tolist() for ids, _, _ in samples.load(range(3))] == [windows[number]["ids"] for number in (0, 3, 6)]
    assert opened(folder).calibration(1000).total == 33


def test_only_calibration_needs_the_training_file(folder: pathlib.Path) -> None:
    (folder / "train-v1.1.json").unlink()
    samples = opened(folder)
    with pytest.raises(MissingDataError, match=r"train-v1\.1\.json can't be read: No such file"):
        samples.calibration(3)


def test_the_fingerprint_depends_on_questions_and_windows(folder: pathlib.Path) -> None:
    first, again, other = opened(folder), opened(folder), opened(folder, golden.options(golden.CASES[2]))
    content = json.loads(golden.CONTENT)
    content["data"][0]["paragraphs"].pop()
    (folder / "dev-v1.1.json").write_text(json.dumps(content))
    fewer = opened(folder)
    assert first.fingerprint == again.fingerprint
    assert len({first.fingerprint, other.fingerprint, fewer.fingerprint}) == 3


def test_a_vocabulary_of_another_size_than_the_encoders_is_refused(folder: pathlib.Path) -> None:
    with pytest.raises(
        UsageError, match=r"vocab\.txt has \d+ word pieces, and model\.encoder\.vocabulary_size is 30,522"
    ):
        opened(folder, SquadOptions())


def test_a_missing_folder_is_named(folder: pathlib.Path) -> None:
    with pytest.raises(MissingDataError, match=r"^--data_dir .*nowhere is not a folder\. Pass the folder that holds"):
        opened(folder / "nowhere")
    with pytest.raises(MissingDataError, match=r"^This config reads SQuAD from a folder, and none was given"):
        open_samples(spec.Data(source=SquadFiles()), OPTIONS, None)


def test_another_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^data\.source: got 3\. Accepted: SquadFiles, ShapeQuestions\.$"):
        open_samples(spec.Data(source=3), OPTIONS, None)


def test_embedded_questions_need_no_folder() -> None:
    source = ShapeQuestions(train_examples=5, eval_examples=4)
    samples = open_samples(spec.Data(source=source), SHAPES, None)
    names = samples.names()
    assert {name.rsplit("-", 1)[0] for name in names} == {f"validation-{scene:08d}" for scene in range(4)}
    assert len(names) == samples.total
    pieces = [VOCABULARY.pieces[number] for number in samples.load([0])[0][0]]
    assert pieces[0] == "[CLS]"
    assert pieces.count("[SEP]") == 2
    assert "[UNK]" not in pieces
    calibration = samples.calibration(4)
    assert (calibration.total, calibration.names()[0]) == (4, "train-00000000-0")
