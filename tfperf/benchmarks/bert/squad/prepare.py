"""Checks the files of SQuAD and cuts their questions into windows, so that no run has to."""

from __future__ import annotations

import dataclasses
import pathlib

from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad import feature_cache, text
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.sources import SquadFiles
from tfperf.benchmarks.text import vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece
from tfperf.errors import UsageError
from tfperf.sign_of_life import Say, stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquadRequest:
    """What to prepare.

    Args:
        data_dir: the folder that holds the files; the windows go there, too.
        train_file: questions to train on.
        eval_file: questions to evaluate.
        vocabulary: the `vocab.txt` of the checkpoint.
        lower_case: whether the vocabulary is uncased.
        sequence_length: tokens in a window.
        stride: tokens between the beginnings of two windows of one context.
        question_length: tokens that are kept of a question.
    """

    data_dir: pathlib.Path
    train_file: str = SquadFiles.train_file
    eval_file: str = SquadFiles.eval_file
    vocabulary: str = SquadFiles.vocabulary
    lower_case: bool = SquadFiles.lower_case
    sequence_length: int = SquadOptions.sequence_length
    stride: int = SquadOptions.stride
    question_length: int = SquadOptions.question_length

    def __post_init__(self) -> None:
        try:
            self.options()
        except ValueError as error:
            raise UsageError(str(error)) from error

    def options(self) -> SquadOptions:
        """The options of the model that decide the windows."""
        return SquadOptions(
            encoder=Encoder(max_positions=max(self.sequence_length, 1)),
            sequence_length=self.sequence_length,
            stride=self.stride,
            question_length=self.question_length,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedSquad:
    """The prepared data directory.

    Attributes:
        data_dir: where the files and the windows are.
        train_questions: questions to train on.
        train_windows: their windows.
        eval_questions: questions to evaluate.
        eval_windows: their windows.
        misplaced: questions that training leaves out because their answer does not lie in the context, a line for each.
        notes: remarks for the user.
    """

    data_dir: pathlib.Path
    train_questions: int
    train_windows: int
    eval_questions: int
    eval_windows: int
    misplaced: tuple[str, ...]
    notes: tuple[str, ...]


# The windows of dev-v1.1.json with MLPerf's sizes: inference_rules.adoc of mlcommons/inference_policies.
_OFFICIAL_WINDOWS = 10_833


def prepare(request: SquadRequest, say: Say) -> PreparedSquad:
    """Reads all files, checks them and keeps the windows in the data directory.

    Args:
        request: what to prepare.
        say: takes each line of progress.

    Raises:
        MissingDataError: a file is not there.
        DamagedDataError: a file is damaged or not in the layout of SQuAD v1.1.
        UsageError: the questions are those of SQuAD 2.0, or the folder can't be written.
    """
    folder, options = request.data_dir, request.options()
    cutter = WordPiece(vocabulary.read(folder / request.vocabulary), lower_case=request.lower_case)
    say(f"found {len(cutter.vocabulary):,} word pieces in {folder / request.vocabulary}")
    _check_writable(folder)
    with stage("reading the questions", say, at_once=False):
        to_train, asked = (text.read(folder / name) for name in (request.train_file, request.eval_file))
    say(f"found {len(to_train.questions):,} training and {len(asked.questions):,} evaluation questions")
    with stage("cutting the questions into windows", say, at_once=False):
        training = feature_cache.for_training(to_train, cutter, options, data_dir=folder)
        windows = feature_cache.for_evaluation(asked, cutter, options, data_dir=folder)
    notes = []
    cut = training.features.truncated + windows.truncated
    if cut:
        notes.append(f"questions cut to {options.question_length} tokens, as in the reference: {cut:,}")
    if asked.name.endswith(SquadFiles.eval_file) and _official(options) and len(windows) != _OFFICIAL_WINDOWS:
        notes.append(
            f"not the complete SQuAD v1.1: {len(windows):,} evaluation windows, where MLPerf has {_OFFICIAL_WINDOWS:,}"
        )
    for note in notes:
        say(f"note: {note}")
    return PreparedSquad(
        data_dir=folder,
        train_questions=len(to_train.questions),
        train_windows=len(training.features),
        eval_questions=len(asked.questions),
        eval_windows=len(windows),
        misplaced=training.misplaced,
        notes=tuple(notes),
    )


def _official(options: SquadOptions) -> bool:
    official = SquadOptions()
    names = ("sequence_length", "stride", "question_length")
    return all(getattr(options, name) == getattr(official, name) for name in names)


def _check_writable(folder: pathlib.Path) -> None:
    kept = folder / feature_cache.FOLDER
    probe = kept / ".writable"
    try:
        kept.mkdir(exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"The windows can't be kept in {kept}: {error.strerror or error}. Pass a --data_dir that can be written."
        ) from error
