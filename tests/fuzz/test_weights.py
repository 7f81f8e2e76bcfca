"""Whatever a file of weights or a SavedModel holds, it becomes a model or a message, soon."""

import dataclasses
import functools
import io
import json
import pathlib
import random
import shutil
import zipfile

import keras
import numpy as np
import pytest

from tests.fuzz.mutation import damaged, run_all, seeds, with_an_odd_value
from tfperf import benchmarks
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import UsageError
from tfperf.inference import load_model
from tfperf.inference.weights import Weights, resolve

CASES = {"model.keras": 200, "model.weights.h5": 150, "saved_model": 120, "others": 30}

# No larger than what takes damage needs.
IMAGE, PROBABILITIES = Tensor(name="image", shape=(8, 8, 3)), Tensor(name="probabilities", shape=(8,))

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123\n"


@pytest.fixture(scope="module")
def task() -> InferenceTask:
    mini = benchmarks.task("resnet50_mini", "infer")
    return dataclasses.replace(
        mini,
        build_model=lambda options: build(),
        inputs=lambda options: (IMAGE,),
        outputs=lambda options: (PROBABILITIES,),
    )


def build() -> keras.Model:
    image = keras.Input(IMAGE.shape, name=IMAGE.name)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(image))
    return keras.Model(image, keras.layers.Dense(8, "softmax", name=PROBABILITIES.name)(pooled))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small model in each format."""
    folder = tmp_path_factory.mktemp("whole")
    model = build()
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    model.export(folder / "saved_model", verbose=False)
    np.savez(folder / "model.npz", *model.get_weights())
    np.save(folder / "model.npy", model.get_weights()[0])
    return folder


@pytest.mark.parametrize("kind", CASES)
def test_weights_become_a_model_or_a_message(
    kind: str, whole: pathlib.Path, task: InferenceTask, tmp_path: pathlib.Path
) -> None:
    damage = DAMAGE[kind]

    def use(chance: random.Random) -> None:
        path = damage(whole / kind, tmp_path, chance)
        load_model.load(resolve(Weights(path=path)), task, task.options)

    cases = ((f"{kind} {number}", functools.partial(use, chance)) for number, chance in seeds(CASES[kind]))
    ended = run_all(cases, accepted=(UsageError,))
    assert ended["UsageError"] > CASES[kind] / 3, ended


def damage_file(path: pathlib.Path, folder: pathlib.Path, chance: random.Random) -> pathlib.Path:
    made = folder / path.name
    content = path.read_bytes()
    made.write_bytes(LFS_POINTER if chance.random() < 0.02 else damaged(content, chance))
    return made


def damage_archive(path: pathlib.Path, folder: pathlib.Path, chance: random.Random) -> pathlib.Path:
    """The archive itself or, whole again, one of the files in it."""
    if chance.random() < 0.3:
        return damage_file(path, folder, chance)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice([*files, "config.json", "config.json"])
    if chance.random() < 0.1:
        del files[name]
    elif name.endswith(".json") and chance.random() < 0.7:
        files[name] = json.dumps(with_an_odd_value(json.loads(files[name]), chance)).encode()
    else:
        files[name] = damaged(files[name], chance)
    made, content = folder / path.name, io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    made.write_bytes(content.getvalue())
    return made


def damage_directory(path: pathlib.Path, folder: pathlib.Path, chance: random.Random) -> pathlib.Path:
    made = folder / path.name
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(path, made)
    file = chance.choice([file for file in sorted(made.rglob("*")) if file.is_file()])
    how = chance.randrange(6)
    if how == 0:
        file.unlink()
    elif how == 1:
        file.write_bytes(LFS_POINTER)
    else:
        file.write_bytes(damaged(file.read_bytes(), chance))
    return made


def make_another(path: pathlib.Path, folder: pathlib.Path, chance: random.Random) -> pathlib.Path:
    """Files of another format, under their own name and under that of one that is read."""
    name = chance.choice(("model.npz", "model.npy", "model.keras", "model.weights.h5"))
    made = folder / chance.choice((name, "model.keras", "model.h5", "model", "model.keras/x"))
    made.parent.mkdir(exist_ok=True)
    content = (path.parent / name).read_bytes()
    if not made.is_dir():
        made.write_bytes(chance.choice((content, LFS_POINTER, b"", damaged(content, chance))))
    return made


DAMAGE = {
    "model.keras": damage_archive,
    "model.weights.h5": damage_file,
    "saved_model": damage_directory,
    "others": make_another,
}
