"""Models of public examples are evaluated unchanged, and the listing of the documentation runs as printed."""

import pathlib

import numpy as np
import pytest

import tfperf
from tests.evaluation import keras_examples
from tfperf import spec

QUICK = spec.EvaluateSpec(phases=(spec.WarmUp(iterations=2), spec.Concurrency(streams=(1, 2), duration_s=0.1)))


@pytest.mark.slow
@pytest.mark.parametrize("example", keras_examples.EXAMPLES)
def test_an_example_of_keras_is_evaluated_unchanged(tmp_path: pathlib.Path, example) -> None:
    model, data = example()
    found = tfperf.evaluate(model, data, config=QUICK, workspace=tfperf.Workspace(output_dir=tmp_path, name="test"))
    assert found.valid, found.result.reasons
    (judged,) = found.result.judged
    assert judged.examples > 0
    assert judged.values
    assert [phase.load for phase in found.result.phases] == ["1 stream", "2 streams"]
    if isinstance(data, tuple) and not hasattr(data[0], "columns"):
        theirs = model.evaluate(*data, batch_size=32, return_dict=True, verbose=0)
        ours = {name: value for name, value in judged.values.items() if name in theirs and name != "loss"}
        assert ours == pytest.approx({name: theirs[name] for name in ours}, rel=1e-3)


def photographs(folder: pathlib.Path) -> pathlib.Path:
    """Three folders of small drawn photographs, one for each class."""
    from PIL import Image

    for label, name in enumerate(("ant", "bee", "cat")):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 80, (70, 90, 3), np.uint8)
            pixels[:, :, label] += 120
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["model", "pipeline"])
def test_photographs_through_image_data_generator(tmp_path: pathlib.Path, monkeypatch, measure: str) -> None:
    import keras
    import tensorflow as tf

    photos = photographs(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    pathlib.Path("evaluate.yaml").write_text(
        f"measure: {measure}\nphases:\n  - warm_up: {{iterations: 3}}\n"
        "  - concurrency: {streams: [1], duration_s: 1}\n  - singlestream: {min_duration_s: 1}\n",
        encoding="utf-8",
    )
    model = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classes=3)
    model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    validation_data = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255).flow_from_directory(
        str(photos), target_size=(64, 64), batch_size=4, shuffle=False
    )

    config = tfperf.load_config("evaluate.yaml")
    result = tfperf.evaluate(model, validation_data, config=config)

    assert result.valid, result.result.reasons
    assert result.result.judged[0].examples == 12
    assert result.result.judged[0].values["accuracy"] == pytest.approx(
        model.evaluate(validation_data, return_dict=True, verbose=0)["accuracy"]
    )
    single = result.result.phases[1]
    assert single.issuer == ("loadgen" if measure == "model" else "tfperf")
    if measure == "pipeline":
        assert single.data_ns and single.samples == 4 * single.requests
    frame = result.frame()
    assert list(frame["phase"]) == ["concurrency", "singlestream"]
    assert frame["requests_per_s"].min() > 0
    assert result.run_dir.parent == pathlib.Path("runs")
    assert str(result).startswith("VALID internal evaluation of mobilenetv2")


def test_a_frame_without_pandas_says_what_to_install(tmp_path: pathlib.Path, monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    where = tfperf.Workspace(output_dir=tmp_path, name="test")
    found = tfperf.evaluate(lambda x: x, np.ones((4, 2), "float32"), config=QUICK, workspace=where)
    with pytest.raises(tfperf.errors.ArgumentError, match="needs pandas, which is not installed"):
        found.frame()
