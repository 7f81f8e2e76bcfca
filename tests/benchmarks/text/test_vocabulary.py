import pathlib

import pytest

from tfperf.benchmarks.text import vocabulary
from tfperf.benchmarks.text.vocabulary import SPECIAL, Vocabulary
from tfperf.errors import DamagedDataError, MissingDataError, TfperfError, UsageError

WORDS = ("the", "##s", "\u2028", "é")


def written(folder: pathlib.Path, content: bytes) -> pathlib.Path:
    path = folder / "vocab.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
@pytest.mark.parametrize("last", ["", "\n"], ids=["no line end at the end", "a line end at the end"])
def test_numbers_the_lines_from_0(tmp_path: pathlib.Path, end: str, last: str) -> None:
    content = end.join((*SPECIAL, "the", "##s", "é")) + last
    found = vocabulary.read(written(tmp_path, content.encode()))
    assert found.pieces == (*SPECIAL, "the", "##s", "é")
    assert found.ids == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "the": 5, "##s": 6, "é": 7}
    assert len(found) == 8
    assert found.digest == Vocabulary(pieces=(*SPECIAL, "the", "##s", "é"), name="another").digest


def test_only_a_line_feed_ends_a_line(tmp_path: pathlib.Path) -> None:
    found = vocabulary.read(written(tmp_path, "\n".join((*SPECIAL, "a\x0bb", "c\u2028d")).encode()))
    assert found.pieces[5:] == ("a\x0bb", "c\u2028d")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "\n".join((*SPECIAL, "the", "a", "the", "a", "a")),
            "{path} is not a vocabulary of BERT: repeated pieces 'the', 'a'. It must hold one word piece a line, each "
            "once, as the vocab.txt of a BERT checkpoint does.",
            id="repeated",
        ),
        pytest.param(
            "[PAD]\n[UNK]\n\nthe\n",
            "{path} is not a vocabulary of BERT: empty lines 3; missing pieces [CLS], [SEP], [MASK]. It must hold one "
            "word piece a line, each once, as the vocab.txt of a BERT checkpoint does.",
            id="an empty line, and special pieces missing",
        ),
        pytest.param(
            "",
            "{path} is not a vocabulary of BERT: empty lines 1; missing pieces [PAD], [UNK], [CLS], [SEP], [MASK]. It "
            "must hold one word piece a line, each once, as the vocab.txt of a BERT checkpoint does.",
            id="empty",
        ),
        pytest.param(
            "\n" * 9,
            "{path} is not a vocabulary of BERT: empty lines 1, 2, 3, 4, 5 and 4 more; missing pieces [PAD], [UNK], "
            "[CLS], [SEP], [MASK]. It must hold one word piece a line, each once, as the vocab.txt of a BERT "
            "checkpoint does.",
            id="many empty lines",
        ),
        pytest.param(
            "version https://git-lfs.github.com/spec/v1\noid sha256:07ec\nsize 231508\n",
            "{path} is a Git LFS pointer, not a vocabulary. Run git lfs pull where it comes from, and copy the file.",
            id="a pointer",
        ),
        pytest.param(
            b"[PAD]\n[UNK]\ncaf\xe9\n",
            "{path}, line 3: byte 0xe9 is not UTF-8. Download the vocabulary again, or convert it to UTF-8.",
            id="Latin-1",
        ),
    ],
)
def test_says_what_is_wrong_with_a_vocabulary(tmp_path: pathlib.Path, content: str | bytes, message: str) -> None:
    path = written(tmp_path, content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DamagedDataError) as caught:
        vocabulary.read(path)
    assert str(caught.value) == message.format(path=path)


def test_a_missing_vocabulary_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        vocabulary.read(tmp_path / "vocab.txt")
    assert str(caught.value) == (
        f"The vocabulary {tmp_path / 'vocab.txt'} can't be read: No such file or directory. Put the vocab.txt of the "
        "checkpoint there."
    )


def test_a_size_other_than_the_encoders_is_refused() -> None:
    found = Vocabulary(pieces=(*SPECIAL, *WORDS), name="vocab.txt")
    vocabulary.check_size(found, 9)
    with pytest.raises(UsageError) as caught:
        vocabulary.check_size(found, 30522)
    assert isinstance(caught.value, TfperfError)
    assert str(caught.value) == (
        "vocab.txt has 9 word pieces, and model.encoder.vocabulary_size is 30,522. Take the vocabulary that belongs to "
        "the checkpoint, or set vocabulary_size to its size."
    )
