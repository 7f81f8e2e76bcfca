"""Whatever the annotations beside a log and its responses hold, they are scored or explained, soon."""

import json
import math
import pathlib
import random

import numpy as np

from tests.benchmarks.detection.test_answers import made_up, outputs_of, responses_of, samples_of
from tests.fuzz.mutation import damaged, run_all, seeds, with_an_odd_value
from tfperf.benchmarks.detection import answers

ANNOTATIONS, RESPONSES = 150, 100
IMAGES = 12


def test_annotations_beside_a_log_are_scored_or_explained(tmp_path: pathlib.Path) -> None:
    true, found = made_up()
    samples = samples_of(true)
    responses = responses_of(outputs_of(found, samples.total), samples)
    answers.write(tmp_path, responses, samples, 0.5)
    whole = json.loads((tmp_path / answers.ANNOTATIONS).read_text(encoding="utf-8"))
    few = {
        **whole,
        "images": whole["images"][:IMAGES],
        "annotations": [each for each in whole["annotations"] if each["image_id"] < IMAGES],
    }
    mine = {number: responses[number] for number in range(IMAGES)}

    def use(chance: random.Random) -> None:
        odd = json.dumps(with_an_odd_value(few, chance)).encode()
        (tmp_path / answers.ANNOTATIONS).write_bytes(odd if chance.random() < 0.7 else damaged(odd, chance))
        assert 0 <= answers.recompute(tmp_path, mine) <= 1

    cases = ((f"annotations {number}", lambda chance=chance: use(chance)) for number, chance in seeds(ANNOTATIONS))
    ended = run_all(cases, accepted=(ValueError,))
    assert min(ended["accepted"], ended["ValueError"]) > ANNOTATIONS / 20, ended


def test_responses_are_scored_or_explained() -> None:
    true, found = made_up()
    samples = samples_of(true)
    responses = responses_of(outputs_of(found, samples.total), samples)

    def use(chance: random.Random) -> None:
        number = chance.randrange(samples.total)
        quality = answers.score({**responses, number: damaged(responses[number], chance)}, samples)
        assert 0 <= quality <= 1

    cases = ((f"response {number}", lambda chance=chance: use(chance)) for number, chance in seeds(RESPONSES))
    ended = run_all(cases, accepted=(ValueError,))
    assert ended["ValueError"] > RESPONSES / 20, ended


def test_agreement_of_odd_numbers_is_a_share() -> None:
    true, found = made_up()
    samples = samples_of(true)
    whole = responses_of(outputs_of(found, samples.total), samples)[0]
    for _, chance in seeds(RESPONSES):
        rows = np.frombuffer(whole, "<f4").copy()
        for _ in range(chance.randint(1, 5)):
            rows[chance.randrange(len(rows))] = chance.choice((0, -1, 1e-30, 3e38, -3e38))
        agreement = answers.agreement(rows.tobytes(), whole)
        assert math.isfinite(agreement)
        assert 0 <= agreement <= 1
