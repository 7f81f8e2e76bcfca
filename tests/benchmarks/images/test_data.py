"""Every source feeds each training example once an epoch and each evaluation example once, and says what is wrong."""

import dataclasses
import io
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from tests.benchmarks.images.photographs import CLASSES, Photographs, PhotographSet
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images import file_check
from tfperf.benchmarks.images.data import open_data, open_splits
from tfperf.benchmarks.images.sources import Folder, ImageNetRecords, Tfds, folder, record_file, tfds_set
from tfperf.benchmarks.images.sources.split import Splits
from tfperf.benchmarks.resnet50 import preprocessing
from tfperf.benchmarks.resnet50.options import Options
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.errors import DamagedDataError, MissingDataError

TRAIN, EVAL = 26, 11
PREPROCESSING = preprocessing.of(Options(image_size=32, classes=len(CLASSES)))
SHARDED = ImageNetRecords(train_shards=4, eval_shards=3)


def jpeg(number: int) -> bytes:
    """A photograph that is told from the others by its brightness."""
    file = io.BytesIO()
    Image.new("RGB", (50 + number % 5, 40), (6 * number, 6 * number, 6 * number)).save(file, "JPEG", quality=95)
    return file.getvalue()


def number_of(image: np.ndarray) -> int:
    return round(float(image[..., 0].mean() + preprocessing.CHANNEL_MEANS[0]) / 6)


PHOTOS = Photographs(train=TRAIN, evaluation=EVAL, jpeg=jpeg, shards=SHARDED)


class Animals(PhotographSet):
    """A TFDS set of the same photographs."""

    photographs = PHOTOS


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> pathlib.Path:
    return PHOTOS.write_listed(tmp_path_factory.mktemp("listed"))


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory) -> pathlib.Path:
    return PHOTOS.write_class_folders(tmp_path_factory.mktemp("class_folders"), validation="validation")


@pytest.fixture(scope="module")
def tfrecords(tmp_path_factory) -> pathlib.Path:
    return PHOTOS.write_tfrecords(tmp_path_factory.mktemp("tfrecords"))


@pytest.fixture(params=["listed", "class_folders", "tfrecords", "animals_tfrecord", "animals_array_record"])
def opened(request):
    """The same examples from every source."""
    name = request.param
    if name.startswith("animals"):
        root = request.getfixturevalue("animals")[name.removeprefix("animals_")]
        return open_data(spec.Data(source=Tfds(name="animals")), PREPROCESSING, root)
    source = SHARDED if name == "tfrecords" else Folder()
    return open_data(spec.Data(source=source), PREPROCESSING, request.getfixturevalue(name))


@pytest.fixture(scope="module")
def animals(tmp_path_factory) -> dict[str, pathlib.Path]:
    roots = {name: tmp_path_factory.mktemp(name) for name in ("tfrecord", "array_record")}
    for name, root in roots.items():
        Animals(data_dir=root, file_format=name).download_and_prepare()
    return roots


def read(dataset: tf.data.Dataset, *, batches: int | None = None) -> list[tuple[int, int, float]]:
    """(number, label, weight) of every example in the batches."""
    rows = []
    for images, labels, *weights in dataset.take(-1 if batches is None else batches).as_numpy_iterator():
        weight = weights[0] if weights else np.ones(len(images))
        rows += [(number_of(i), int(y.argmax()), float(w)) for i, y, w in zip(images, labels, weight, strict=True)]
    return rows


def expected(*, training: bool) -> list[tuple[int, int, float]]:
    return [(number, label, 1.0) for number, label, in_training in PHOTOS.examples() if in_training == training]


def test_counts_are_known_before_reading(opened):
    assert (opened.train_examples, opened.eval_examples) == (TRAIN, EVAL)


def test_training_batches_are_endless_whole_and_shuffled_anew_in_each_epoch(opened):
    dataset = opened.train(Feed(batch_size=13, seed=5))
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    first, second = (read(dataset, batches=4)[part] for part in (slice(TRAIN), slice(TRAIN, None)))
    assert sorted(first) == sorted(second) == expected(training=True)
    assert expected(training=True) != first != second


def test_the_embedded_data_feeds_the_same_batches(tmp_path):
    source = Shapes(train_examples=16, eval_examples=6)
    opened = open_data(spec.Data(source=source), dataclasses.replace(PREPROCESSING, classes=8), tmp_path)
    assert (opened.train_examples, opened.eval_examples) == (16, 6)
    images, labels = next(opened.train(Feed(batch_size=16)).as_numpy_iterator())
    assert len(np.unique(labels.argmax(axis=1))) > 2
    assert images.std() > 10
    weights = [weights for *_, weights in opened.evaluation(Feed(batch_size=4)).as_numpy_iterator()]
    np.testing.assert_array_equal(weights, [[1, 1, 1, 1], [1, 1, 0, 0]])


def test_shapes_of_batches_are_known_without_reading(opened):
    image, label = (tf.TensorSpec([8, *shape], tf.float32) for shape in ((32, 32, 3), (3,)))
    assert opened.train(Feed(batch_size=8)).element_spec == (image, label)
    assert opened.evaluation(Feed(batch_size=8)).element_spec == (image, label, tf.TensorSpec([8], tf.float32))


def kinds(dataset: tf.data.Dataset) -> set[str]:
    """The operations that a dataset is made of."""
    graph = tf.compat.v1.GraphDef.FromString(tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor).numpy())
    return {node.op for node in graph.node}


@pytest.mark.parametrize("skip_corrupt", [0, 1])
def test_no_single_thread_copies_all_batches(skip_corrupt, class_folders):
    opened = open_data(spec.Data(source=Folder(), skip_corrupt=skip_corrupt), PREPROCESSING, class_folders)
    training, evaluation = (kinds(feeding(Feed(batch_size=4))) for feeding in (opened.train, opened.evaluation))
    assert "ParallelBatchDataset" in evaluation
    assert "BatchDatasetV2" not in evaluation
    # A map before a batch without a filter between them is one parallel operation, which tf.data makes of both.
    assert ("ParallelBatchDataset" in training) == (skip_corrupt > 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_images_come_in_the_type_that_the_model_computes_in(dtype, class_folders):
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, class_folders)
    for feeding in (opened.train, opened.evaluation):
        (whole, *_), (half, *_) = (
            next(iter(feeding(Feed(batch_size=4, seed=1, deterministic=True, compute_dtype=name))))
            for name in ("float32", dtype)
        )
        assert half.dtype == dtype
        np.testing.assert_array_equal(half, tf.cast(whole, dtype))


def test_a_pipeline_may_have_threads_of_its_own(class_folders):
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, class_folders)
    for feeding in (opened.train, opened.evaluation):
        assert feeding(Feed(batch_size=4, threads=3)).options().threading.private_threadpool_size == 3
        assert feeding(Feed(batch_size=4)).options().threading.private_threadpool_size is None
        assert sum(1 for _ in feeding(Feed(batch_size=4, threads=1)).take(2)) == 2


@pytest.mark.parametrize("cycle_length", [1, 4])
def test_files_that_are_read_together_change_the_order_alone(cycle_length, tfrecords):
    source = dataclasses.replace(SHARDED, cycle_length=cycle_length)
    opened = open_data(spec.Data(source=source), PREPROCESSING, tfrecords)
    assert sorted(row for row in read(opened.evaluation(Feed(batch_size=4))) if row[2]) == expected(training=False)


@pytest.mark.parametrize("pipelines", [1, 2, 5])
def test_pipelines_share_the_evaluation_split_in_equally_many_batches(opened, pipelines):
    shares = [
        read(opened.evaluation(Feed(batch_size=4, pipelines=pipelines, index=index))) for index in range(pipelines)
    ]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) % 4 == 0
    counted = sorted(row for share in shares for row in share if row[2] > 0)
    assert counted == expected(training=False)


def test_pipelines_share_the_training_split(opened):
    shares = [read(opened.train(Feed(batch_size=1, pipelines=2, index=index)), batches=TRAIN) for index in range(2)]
    numbers = [{row[0] for row in share} for share in shares]
    assert not numbers[0] & numbers[1]
    assert numbers[0] | numbers[1] == set(range(TRAIN))


def test_the_same_seed_gives_the_same_batches(opened):
    def batches(seed):
        feed = Feed(batch_size=13, seed=seed, deterministic=True)
        return np.concatenate([images for images, _ in opened.train(feed).take(4).as_numpy_iterator()])

    np.testing.assert_array_equal(batches(1), batches(1))
    assert (batches(1) != batches(2)).any()


def test_fingerprints_follow_the_list_of_examples(listed, tmp_path):
    data = spec.Data(source=Folder())
    shutil.copytree(listed, tmp_path, dirs_exist_ok=True)
    assert open_data(data, PREPROCESSING, tmp_path).fingerprint == open_data(data, PREPROCESSING, listed).fingerprint
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(lines[:-1]))
    assert open_data(data, PREPROCESSING, tmp_path).fingerprint != open_data(data, PREPROCESSING, listed).fingerprint


def test_record_counts_are_read_from_counts_json_or_from_the_lengths(tfrecords, tmp_path):
    def opened():
        found = open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)
        return found.train_examples, found.eval_examples

    assert record_file.count(tfrecords / "train-00000-of-00004") == 7
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    counts = {f"train-{shard:05d}-of-00004": 100 for shard in range(4)}
    sizes = {name: (tmp_path / name).stat().st_size for name in counts}
    (tmp_path / "counts.json").write_text(json.dumps({"train": counts, "bytes": sizes}))
    assert opened() == (400, EVAL)
    sizes["train-00000-of-00004"] += 1  # that file was replaced since
    (tmp_path / "counts.json").write_text(json.dumps({"train": counts, "bytes": sizes}))
    assert opened() == (307, EVAL)
    (tmp_path / "counts.json").write_text(json.dumps({"train": counts}))
    assert opened() == (TRAIN, EVAL)


def test_as_many_files_as_imagenet_has_are_counted_too(tfrecords, tmp_path):
    for name in ("validation-00000-of-00003", "validation-00001-of-00003", "validation-00002-of-00003"):
        shutil.copy(tfrecords / name, tmp_path)
    for shard in range(1024):
        shutil.copy(tfrecords / "train-00000-of-00004", tmp_path / f"train-{shard:05d}-of-01024")
    source = ImageNetRecords(train_shards=1024, eval_shards=3)
    assert open_data(spec.Data(source=source), PREPROCESSING, tmp_path).train_examples == 7 * 1024


def test_tfrecords_may_lie_in_a_folder_for_each_split(tfrecords, tmp_path):
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        for path in tfrecords.glob(f"{split}-*"):
            shutil.copy(path, tmp_path / split)
    assert open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path).eval_examples == EVAL


def test_tfrecords_of_another_number_of_shards_are_refused(tfrecords):
    with pytest.raises(MissingDataError) as caught:
        open_data(spec.Data(source=ImageNetRecords(train_shards=8, eval_shards=3)), PREPROCESSING, tfrecords)
    assert str(caught.value) == (
        f"{tfrecords} must hold 8 files train-00000-of-00008 to train-00007-of-00008; it holds 4 files, of 4 shards."
        " Pass --set data.source.tfrecords.train_shards=4, or the folder of 8 shards."
    )


def test_missing_tfrecords_are_named(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    (tmp_path / "validation-00001-of-00003").unlink()
    with pytest.raises(MissingDataError, match="1 are missing: validation-00001-of-00003"):
        open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)


def test_a_truncated_tfrecord_is_named_with_the_offset(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "train-00002-of-00004"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedDataError, match=rf"{path}: record 5 at byte \d+ does not end within the file"):
        open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)


@pytest.mark.parametrize("data_dir", [None, pathlib.Path("/nowhere")])
@pytest.mark.parametrize("source", [Folder(), SHARDED])
def test_a_missing_data_dir_is_refused(source, data_dir):
    with pytest.raises(MissingDataError, match=r"Pass --data_dir|Pass the folder"):
        open_data(spec.Data(source=source), PREPROCESSING, data_dir)


def test_everything_wrong_with_a_folder_is_reported_at_once(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "labels.csv").write_text("path,class,split\na.jpg,ant,train\nb.jpg,bee,dev\n")
    with pytest.raises(MissingDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines()[1:] == [
        "  labels.csv line 3: split is 'dev', accepted are train, val, validation, test.",
        "  labels.csv line 3: there is no file 'b.jpg'.",
    ]


def test_a_class_folder_without_photographs_is_refused(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    (tmp_path / "train" / "dog").mkdir()
    with pytest.raises(MissingDataError, match=r"train/dog holds no \.jpg or \.jpeg file"):
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg(number))).save(file, "PNG")
    return file.getvalue()


def test_a_file_of_another_format_is_named_before_anything_is_decoded(listed, tmp_path):
    shutil.copytree(listed, tmp_path, dirs_exist_ok=True)
    (tmp_path / "3.jpg").write_bytes(png(3))
    (tmp_path / "30.jpg").write_bytes(b"")
    with pytest.raises(DamagedDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines() == [
        "2 files can't be read as JPEGs:",
        f"  {tmp_path}/3.jpg: is a PNG, not a JPEG",
        f"  {tmp_path}/30.jpg: the file is empty",
        "Convert them to JPEG, as tfperf prepare imagenet does. Open and internal runs may skip them: "
        "--set data.skip_corrupt=2.",
    ]
    assert open_data(spec.Data(source=Folder(), skip_corrupt=2), PREPROCESSING, tmp_path).train_examples == TRAIN


def test_images_of_other_formats_in_class_folders_are_not_left_out_silently(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    for number in range(9):
        (tmp_path / "train" / "ant" / f"{number}.png").write_bytes(png(number))
    message = r"train/ant holds 9 images in another format than JPEG, such as 0\.png\. Convert or remove them\."
    with pytest.raises(MissingDataError, match=message):
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)


def test_the_same_image_in_both_splits_is_refused(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "train" / "ant" / "a photo 03.JPEG", tmp_path / "validation" / "bee" / "another name.jpg")
    with pytest.raises(DamagedDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines()[:2] == [
        f"1 of {EVAL + 1} files for evaluation are training files, too:",
        "  validation/bee/another name.jpg is train/ant/a photo 03.JPEG",
    ]


def test_a_few_shared_images_are_told_and_accepted(listed, monkeypatch, caplog):
    monkeypatch.setattr(file_check, "_MOST_SHARED", 0.2)
    opened = open_splits(Folder(), classes=len(CLASSES), data_dir=listed)
    first = opened.train.ends()[0]
    shared = dataclasses.replace(opened.evaluation, ends=lambda: (first, *opened.evaluation.ends()))
    file_check.check(Splits(opened.train, shared), skip_corrupt=0)
    assert f"1 of {EVAL + 1} files for evaluation are training files, too" in caplog.text


def test_a_list_that_names_a_file_twice_is_refused(listed, tmp_path):
    shutil.copytree(listed, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("0.jpg,ant,val\n1.jpg,bee,train\n")
    with pytest.raises(MissingDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines()[1:] == [
        "  labels.csv: 0.jpg is listed for training and for evaluation.",
        "  labels.csv: 1.jpg is listed 2 times.",
    ]


def too_large(number: int) -> bytes:
    """A JPEG of few bytes whose header says 65,500 x 65,500 pixels, more than TensorFlow decodes at once."""
    encoded = jpeg(number)
    size = encoded.index(b"\xff\xc0") + 5
    return encoded[:size] + (65500).to_bytes(2, "big") * 2 + encoded[size + 4 :]


def test_an_image_that_training_decodes_in_part_is_not_blamed_for_a_damaged_one(listed, tmp_path):
    root = damaged_folder(listed, tmp_path, 3)
    (root / "5.jpg").write_bytes(too_large(5))
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, root)
    error = tf.errors.InvalidArgumentError(None, None, "IteratorGetNext: Invalid JPEG data")
    assert [line.split(":")[0] for line in str(opened.diagnose(error)).splitlines()[1:-1]] == [f"  {root}/3.jpg"]
    (root / "3.jpg").write_bytes(jpeg(3))
    assert [line.split(":")[0] for line in str(opened.diagnose(error)).splitlines()[1:-1]] == [f"  {root}/5.jpg"]


def test_an_empty_folder_is_refused_with_the_accepted_layouts(tmp_path):
    with pytest.raises(MissingDataError, match=r"found an empty folder; accepted are a file labels\.csv"):
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)


def test_another_number_of_classes_says_what_to_set(listed, tfrecords, animals):
    other = dataclasses.replace(PREPROCESSING, classes=10)
    for source, root in ((Folder(), listed), (Tfds(name="animals"), animals["tfrecord"])):
        with pytest.raises(MissingDataError, match=r"--set model\.classes=3"):
            open_data(spec.Data(source=source), other, root)


def test_an_unprepared_tfds_set_says_how_to_prepare_it(tmp_path):
    with pytest.raises(MissingDataError, match=r"not prepared in .*; runs do not download.* ILSVRC2012_img_train\.tar"):
        open_data(spec.Data(source=Tfds()), PREPROCESSING, tmp_path)


def test_an_unknown_tfds_set_or_split_is_refused(tmp_path, animals):
    with pytest.raises(MissingDataError, match="no data set 'no_such_set'"):
        open_data(spec.Data(source=Tfds(name="no_such_set")), PREPROCESSING, tmp_path)
    source = Tfds(name="animals", eval_split="test")
    with pytest.raises(MissingDataError, match="no split 'test', but train, validation"):
        open_data(spec.Data(source=source), PREPROCESSING, animals["tfrecord"])


def test_tfds_sets_of_other_features_are_refused(tmp_path):
    with pytest.raises(MissingDataError, match="features image and label are needed"):
        tfds_set.builder_splits(_captions(tmp_path), train="train", evaluation="train", classes=3)


def _captions(root):
    class Captions(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"caption": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield 0, {"caption": "none"}

    builder = Captions(data_dir=root)
    builder.download_and_prepare()
    return builder


def failure(opened, dataset: tf.data.Dataset, *, batches: int) -> Exception | None:
    """What `diagnose` makes of the error that reading raises."""
    with pytest.raises(tf.errors.OpError) as caught:
        read(dataset, batches=batches)
    return opened.diagnose(caught.value)


def damaged_folder(listed: pathlib.Path, root: pathlib.Path, *numbers: int) -> pathlib.Path:
    shutil.copytree(listed, root, dirs_exist_ok=True)
    for number in numbers:
        (root / f"{number}.jpg").write_bytes(jpeg(number)[:-200])
    return root


def test_corrupt_images_are_named_and_counted(listed, tmp_path):
    root = damaged_folder(listed, tmp_path, 3, 17, 30)
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, root)
    found = failure(opened, opened.train(Feed(batch_size=13)), batches=3)
    assert isinstance(found, DamagedDataError)
    lines = str(found).splitlines()
    assert lines[0] == "3 unusable examples:"
    assert [line.split(":")[0].strip() for line in lines[1:4]] == [str(root / f"{n}.jpg") for n in (17, 3, 30)]
    assert lines[4] == ("Replace them. Open and internal runs may skip corrupt images: --set data.skip_corrupt=3.")


def test_errors_that_do_not_come_from_reading_are_not_explained(listed):
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, listed)
    assert opened.diagnose(ValueError("no")) is None
    assert opened.diagnose(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


def test_corrupt_images_and_labels_in_tfrecords_are_named_by_record(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "validation-00001-of-00003"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(PHOTOS.record(1, 0))
        writer.write(PHOTOS.record(2, 3))
        writer.write(PHOTOS.record(2, 0).replace(b"\xff\xd8\xff", b"\xff\xd8\x00"))
    opened = open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)
    lines = str(failure(opened, opened.evaluation(Feed(batch_size=4)), batches=3)).splitlines()
    assert lines[0] == "2 unusable examples:"
    assert lines[1] == f"  {path} record 1: its label is class 3, accepted are 0 to 2"
    assert lines[2].startswith(f"  {path} record 2: ")


def test_garbled_tfrecords_are_named(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "train-00001-of-00004"
    content = bytearray(path.read_bytes())
    content[300] ^= 255
    path.write_bytes(content)
    opened = open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)
    lines = str(failure(opened, opened.train(Feed(batch_size=26)), batches=1)).splitlines()
    assert lines[0] == "1 damaged files:"
    assert lines[1].startswith(f"  {path}: corrupted record at ")


def test_a_run_that_may_skip_leaves_corrupt_images_out_and_names_each_once(listed, tmp_path, caplog):
    root = damaged_folder(listed, tmp_path, 3, 30)
    opened = open_data(spec.Data(source=Folder(), skip_corrupt=2), PREPROCESSING, root)
    trained = {row[0] for row in read(opened.train(Feed(batch_size=5)), batches=12)}
    assert trained == set(range(TRAIN)) - {3}
    rows = read(opened.evaluation(Feed(batch_size=4)))
    assert sorted(row for row in rows if row[2] > 0) == [row for row in expected(training=False) if row[0] != 30]
    assert len(rows) == 12
    warned = [record.getMessage().split(": ")[0] for record in caplog.records if "corrupt" in record.getMessage()]
    assert sorted(warned) == sorted(f"Skipped a corrupt image, {root / f'{n}.jpg'}" for n in (3, 30))


@pytest.mark.parametrize("source", ["tfrecords", "animals"])
def test_a_run_that_may_skip_reads_whole_images_unchanged(source, tfrecords, animals):
    given, root = (SHARDED, tfrecords) if source == "tfrecords" else (Tfds(name="animals"), animals["tfrecord"])
    feed = Feed(batch_size=13, seed=3, deterministic=True)
    plain, skipping = (
        next(open_data(spec.Data(source=given, skip_corrupt=n), PREPROCESSING, root).train(feed).as_numpy_iterator())
        for n in (0, 1)
    )
    for left, right in zip(plain, skipping, strict=True):
        np.testing.assert_array_equal(left, right)


def test_more_corrupt_images_than_may_be_skipped_fail_with_their_names(listed, tmp_path):
    root = damaged_folder(listed, tmp_path, 3, 17, 30)
    opened = open_data(spec.Data(source=Folder(), skip_corrupt=1), PREPROCESSING, root)
    lines = str(failure(opened, opened.train(Feed(batch_size=13)), batches=3)).splitlines()
    assert lines[0] == "2 corrupt images were found, data.skip_corrupt allows 1:"
    assert {line.split(":")[0].strip() for line in lines[1:3]} == {str(root / "3.jpg"), str(root / "17.jpg")}


def test_names_that_tensorflow_can_not_open_are_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(
        MissingDataError, match=r"1 file names are not UTF-8, such as '.*odd\\udcff\.jpg'\. Rename them"
    ):
        folder.files([tmp_path / "ü.jpg", tmp_path / "odd\udcff.jpg"], [0, 1])
