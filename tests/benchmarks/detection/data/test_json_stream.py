"""Arrays of a JSON file, element by element, in any pieces in which the file is read."""

import json
import pathlib
import random

import pytest

from tfperf.benchmarks.detection.data import json_stream

DOCUMENT = {
    "info": {"images": [1, 2], "b": None},
    "version": 12.5,
    "images": [{"id": number, "file_name": f'é"{number}].jpg'} for number in range(5)],
    "ignored": [[1, [2]], "]", {"annotations": [3]}],
    "annotations": [1, 22, -3.5e-7, True, None, "a\\", [], {}, {"s": [[1.5, 2]]}],
    "empty": [],
}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_yields_the_elements_of_the_named_arrays(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(DOCUMENT, indent=indent, ensure_ascii=False), encoding="utf-8-sig")
    found = list(json_stream.elements(path, ("images", "annotations", "empty")))
    assert found == [(name, element) for name in ("images", "annotations") for element in DOCUMENT[name]]


def test_accepts_exactly_what_json_is(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK", 5)
    rng = random.Random(2)
    text = json.dumps({"a": [1, {"b": [2.5, "c"]}], "d": 3})
    accepted = 0
    for _ in range(250):
        place = rng.randrange(len(text))
        changed = text[:place] + rng.choice(["", *'[]{},:"1.e ']) + text[place + rng.randrange(2) :]
        path = tmp_path / "a.json"
        path.write_text(changed)
        try:
            whole = json.loads(changed, object_pairs_hook=list)
            expected = [("a", element) for name, value in whole if name == "a" for element in value]
            assert all(isinstance(value, list) for name, value in whole if name == "a")
        except (ValueError, TypeError, AssertionError):
            with pytest.raises(ValueError, match=r"."):
                list(json_stream.elements(path, ("a",)))
            continue
        found = [
            ("a", json.loads(json.dumps(each), object_pairs_hook=list))
            for _, each in json_stream.elements(path, ("a",))
        ]
        assert found == expected
        accepted += 1
    assert 20 < accepted < 230


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'{' was expected at character 0, got the end of the file"),
        ("[1]", "'{' was expected at character 0, got '['"),
        ('{"a": [1, 2', "',' was expected at character 11, got the end of the file"),
        ('{"a": {"b": 1}}', "a must be an array"),
        ('{"a": [1] }, 2', "there is more after its end at character 11"),
        ('{"a": [1 2]}', "',' was expected at character 9, got '2'"),
        ('{"a": [' + "[" * 100_000 + "]}", "it is nested too deeply"),
        ('{"a": [' + "1" * 400 + "]}", "is not a number that can be used"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path: pathlib.Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:
        list(json_stream.elements(path, ("a",)))
    assert message in str(caught.value)


def test_a_value_without_end_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_LARGEST", 1000)
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    path = tmp_path / "a.json"
    path.write_text('{"a": ["' + "b" * 100_000)
    with pytest.raises(ValueError, match="the value at character 7 has no end within 64 MB"):
        list(json_stream.elements(path, ("a",)))
