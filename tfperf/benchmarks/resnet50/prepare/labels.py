"""The classes of ImageNet's validation images, which are downloaded separately."""

from __future__ import annotations

import pathlib
import tarfile

from tfperf.errors import DamagedDataError, MissingDataError, UsageError

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
TEXT_FILES = (
    "imagenet_2012_validation_synset_labels.txt",
    "ILSVRC2012_validation_synset_labels.txt",
    "ILSVRC2012_validation_synset_labels",
    "synset_labels.txt",
)


def validation_classes(source: pathlib.Path) -> list[str]:
    """One WordNet id for each validation image, in the order of the images' names.

    Read from a text file with one id to a line, as TensorFlow's preparation script has it, or from the devkit.

    Raises:
        MissingDataError: there is neither.
        DamagedDataError: the file or the devkit can't be read.
    """
    for name in TEXT_FILES:
        if (source / name).is_file():
            return _from_text(source / name)
    if (source / DEVKIT).is_file():
        return _from_devkit(source / DEVKIT)
    raise MissingDataError(
        f"{source} holds no labels of the validation images. Put {DEVKIT} there, or {TEXT_FILES[0]} with one class "
        "to a line in the order of the images' names; or sort the images into the folders validation/CLASS."
    )


def _from_text(path: pathlib.Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise DamagedDataError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8, one class to a line.") from error


def _from_devkit(path: pathlib.Path) -> list[str]:
    try:
        with tarfile.open(path, "r:gz") as devkit:
            members = {pathlib.PurePath(member.name).name: member for member in devkit if member.isfile()}
            truth = devkit.extractfile(members["ILSVRC2012_validation_ground_truth.txt"])
            meta = devkit.extractfile(members["meta.mat"])
            assert truth is not None and meta is not None  # both are files
            names = _class_by_number(meta)
            return [names[int(number)] for number in truth.read().split()]
    except UsageError:
        raise
    except Exception as error:  # tarfile and scipy have many for a damaged file
        raise DamagedDataError(f"{path} can't be read: {error!r}. Download it again.") from error


def _class_by_number(meta: object) -> dict[int, str]:
    try:
        import scipy.io
    except ModuleNotFoundError as error:
        raise UsageError(f"meta.mat of {DEVKIT} is read with scipy. Run pip install scipy.") from error
    synsets = scipy.io.loadmat(meta, squeeze_me=True)["synsets"]
    return {int(number): str(name) for number, name in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
