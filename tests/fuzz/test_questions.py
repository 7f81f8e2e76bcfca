"""Whatever a vocabulary, a file of questions or their kept windows hold, it becomes windows or a message, soon."""

import json
import pathlib
import random

import pytest

from tests.benchmarks.bert.squad import golden
from tests.benchmarks.bert.squad.test_features import described
from tests.fuzz.mutation import damaged, run_all, seeds, with_an_odd_value
from tfperf import spec
from tfperf.benchmarks.bert.squad import answers, feature_cache, features, text
from tfperf.benchmarks.bert.squad.samples import open_samples
from tfperf.benchmarks.bert.squad.sources import SquadFiles
from tfperf.benchmarks.text import vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece
from tfperf.errors import TfperfError

OPTIONS = golden.options(golden.CASES[1])
WORDS = "\n".join(golden.GOLDEN["vocabulary"]).encode()


def test_vocabularies(tmp_path: pathlib.Path) -> None:
    def case(chance: random.Random) -> None:
        path = tmp_path / "vocab.txt"
        path.write_bytes(damaged(WORDS, chance))
        cutter = WordPiece(vocabulary.read(path))
        features.for_training(golden.questions(), cutter, OPTIONS)

    cases = [(f"vocabulary {number}", lambda chance=chance: case(chance)) for number, chance in seeds(300)]
    ended = run_all(cases, accepted=(TfperfError,))
    assert ended.keys() == {"accepted", "DamagedDataError"}


@pytest.mark.parametrize("kind", ["bytes", "values"])
def test_questions(kind: str) -> None:
    cutter = golden.cutter()

    def case(chance: random.Random) -> None:
        if kind == "bytes":
            content = damaged(golden.CONTENT, chance)
        else:
            content = json.dumps(with_an_odd_value(json.loads(golden.CONTENT), chance)).encode()
        asked = text.parse(content, name="dev-v1.1.json")
        features.for_evaluation(asked, cutter, OPTIONS)
        features.for_training(asked, cutter, OPTIONS)
        text.parse(text.to_json(asked).encode(), name="again")

    cases = [(f"{kind} {number}", lambda chance=chance: case(chance)) for number, chance in seeds(400)]
    ended = run_all(cases, accepted=(TfperfError,))
    assert ended.keys() >= {"accepted", "DamagedDataError"}


def test_kept_windows_are_right_or_not_used(tmp_path: pathlib.Path) -> None:
    asked, cutter = golden.questions(), golden.cutter()
    expected = described(feature_cache.for_evaluation(asked, cutter, OPTIONS, data_dir=tmp_path))
    (path,) = (tmp_path / "features").iterdir()
    content = path.read_bytes()

    def case(chance: random.Random) -> None:
        path.write_bytes(damaged(content, chance))
        assert described(feature_cache.for_evaluation(asked, cutter, OPTIONS, data_dir=tmp_path)) == expected

    cases = [(f"windows {number}", lambda chance=chance: case(chance)) for number, chance in seeds(150)]
    assert run_all(cases, accepted=()) == {"accepted": 150}


def test_written_answers_are_scored_or_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "dev-v1.1.json").write_bytes(golden.CONTENT)
    (tmp_path / "vocab.txt").write_bytes(WORDS)
    samples = open_samples(spec.Data(source=SquadFiles()), OPTIONS, tmp_path)
    responses = {
        number: golden.logits(number, len(sample[0])).tobytes()
        for number, sample in enumerate(samples.load(range(samples.total)))
    }
    folder = tmp_path / "accuracy"
    folder.mkdir()
    answers.write(folder, responses, samples, answers.score(responses, samples))
    whole = json.loads((folder / answers.QUESTIONS).read_text())

    def case(chance: random.Random) -> None:
        windows = with_an_odd_value(whole["windows"], chance)
        (folder / answers.QUESTIONS).write_text(json.dumps(whole | {"windows": windows}))
        assert 0 <= answers.recompute(folder, responses) <= 1

    cases = [(f"answers {number}", lambda chance=chance: case(chance)) for number, chance in seeds(150)]
    ended = run_all(cases, accepted=(ValueError, OSError))
    assert ended.keys() == {"accepted", "ValueError"}
