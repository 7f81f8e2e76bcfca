"""Finds the images of both splits in downloaded archives or class folders; unpacks nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import tarfile
from collections.abc import Iterator

from tfperf.benchmarks.resnet50.prepare import labels
from tfperf.errors import DamagedDataError, MissingDataError

TRAIN_ARCHIVE = "ILSVRC2012_img_train.tar"
VALIDATION_ARCHIVE = "ILSVRC2012_img_val.tar"
SUFFIXES = (".jpeg", ".jpg", ".png")
_SHOWN_BYTES = 16

_LAYOUTS = (
    f"{TRAIN_ARCHIVE} and {VALIDATION_ARCHIVE}, or the folders train/CLASS/*.JPEG and validation/CLASS/*.JPEG "
    f"(or val/CLASS/*.JPEG)"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoredPhoto:
    """Where one encoded image is.

    Attributes:
        container: an archive, or the folder of the file.
        name: the file's name without folders.
        class_name: the class folder's name; a WordNet id in ImageNet.
        size: bytes.
        offset: where it begins in the archive; None for a file in a folder.
    """

    container: pathlib.Path
    name: str
    class_name: str
    size: int
    offset: int | None = None

    def __str__(self) -> str:
        return str(self.container / self.name) if self.offset is None else f"{self.container}: {self.name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundPhotos:
    """The images of both splits, each sorted by class and name.

    Attributes:
        train: training images.
        validation: held-out images.
        classes: names of the classes, sorted; labels number them from 1.
        ignored: other files among the images, the class folders or the class archives.
    """

    train: tuple[StoredPhoto, ...]
    validation: tuple[StoredPhoto, ...]
    classes: tuple[str, ...]
    ignored: tuple[str, ...]


def read(photo: StoredPhoto) -> bytes:
    """The encoded image, as it was downloaded.

    Raises:
        OSError: it can't be read.
    """
    if photo.offset is None:
        return (photo.container / photo.name).read_bytes()
    with photo.container.open("rb") as archive:
        archive.seek(photo.offset)
        return archive.read(photo.size)


def find(source: pathlib.Path) -> FoundPhotos:
    """The images below `source`.

    Raises:
        MissingDataError: an archive, a folder or the labels are missing.
        DamagedDataError: an archive is incomplete, or the labels don't fit the images.
    """
    if not source.is_dir():
        raise MissingDataError(f"--source must be a folder with {_LAYOUTS}; got {source}, which is not a folder.")
    ignored: list[str] = []
    train = _train(source, ignored)
    validation = _validation(source, ignored)
    classes = tuple(sorted({photo.class_name for photo in train}))
    unknown = sorted({photo.class_name for photo in validation}.difference(classes))
    if unknown:
        raise DamagedDataError(f"{source}: validation images of classes without training images: {', '.join(unknown)}.")
    return FoundPhotos(train=train, validation=validation, classes=classes, ignored=tuple(ignored))


def _train(source: pathlib.Path, ignored: list[str]) -> tuple[StoredPhoto, ...]:
    if (source / TRAIN_ARCHIVE).is_file():
        return _sorted(_in_archive_of_classes(source / TRAIN_ARCHIVE, ignored))
    if (source / "train").is_dir():
        return _sorted(_in_class_folders(source / "train", ignored))
    raise MissingDataError(f"{source} holds neither {TRAIN_ARCHIVE} nor a folder train. Accepted: {_LAYOUTS}.")


def _validation(source: pathlib.Path, ignored: list[str]) -> tuple[StoredPhoto, ...]:
    if (source / VALIDATION_ARCHIVE).is_file():
        return _labelled(_in_archive(source / VALIDATION_ARCHIVE, ignored), source)
    for folder in (source / "validation", source / "val"):
        if folder.is_dir():
            others: list[str] = []
            flat = _in_folder(folder, class_name="", ignored=others)
            if not flat:
                return _sorted(_in_class_folders(folder, ignored))
            ignored += others
            return _labelled(flat, source)
    raise MissingDataError(f"{source} holds no {VALIDATION_ARCHIVE}, validation or val. Accepted: {_LAYOUTS}.")


def _sorted(photos: list[StoredPhoto]) -> tuple[StoredPhoto, ...]:
    return tuple(sorted(photos, key=lambda photo: (photo.class_name, photo.name)))


def _labelled(photos: list[StoredPhoto], source: pathlib.Path) -> tuple[StoredPhoto, ...]:
    names = labels.validation_classes(source)
    if len(names) != len(photos):
        raise DamagedDataError(f"{source}: {len(names)} validation labels for {len(photos)} validation images.")
    by_name = sorted(photos, key=lambda photo: photo.name)
    return _sorted([dataclasses.replace(photo, class_name=name) for photo, name in zip(by_name, names, strict=True)])


def _in_archive_of_classes(path: pathlib.Path, ignored: list[str]) -> list[StoredPhoto]:
    photos = []
    with _opened(path) as archive:
        for member in archive:
            if not member.isfile():
                continue
            if pathlib.PurePath(member.name).suffix == ".tar":
                photos += _in_class_archive(archive, member, path, ignored)
            elif _is_image(member.name):
                raise MissingDataError(
                    f"{path}: {member.name} is an image outside of a class archive. Accepted are archives such as "
                    "n01440764.tar, as in ImageNet's download; or unpack the images into the folders train/CLASS."
                )
            else:
                ignored.append(f"{path}: {member.name}")
    return _not_empty(photos, path)


def _in_class_archive(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: pathlib.Path, ignored: list[str]
) -> list[StoredPhoto]:
    try:
        with tarfile.open(fileobj=archive.extractfile(member), mode="r:") as images:
            return [
                dataclasses.replace(photo, class_name=pathlib.PurePath(member.name).stem)
                for photo in _photos(images, path, ignored, offset=member.offset_data)
            ]
    except (tarfile.TarError, EOFError) as error:
        if member.offset_data + member.size > path.stat().st_size:
            raise _damaged(path, error) from error
        raise DamagedDataError(
            f"{path}: {member.name} in it can't be read as an archive: {error}. If the rest of {path.name} is good, "
            "unpack it, and put the images of this class into train/CLASS from another copy; else download it again."
        ) from error


def _in_archive(path: pathlib.Path, ignored: list[str]) -> list[StoredPhoto]:
    with _opened(path) as archive:
        return _not_empty(list(_photos(archive, path, ignored, offset=0)), path)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tarfile.TarFile]:
    is_archive = False
    try:
        with tarfile.open(path, "r:") as archive:
            is_archive = True
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise (_damaged if is_archive else _no_archive)(path, error) from error


def _no_archive(path: pathlib.Path, error: Exception) -> DamagedDataError:
    with path.open("rb") as file:
        start = file.read(_SHOWN_BYTES)
    return DamagedDataError(
        f"{path} is not a tar archive: {error}. It begins with {start!r}. If that is a web page or a compressed "
        "archive, save or unpack the archive itself under this name."
    )


def _photos(archive: tarfile.TarFile, path: pathlib.Path, ignored: list[str], *, offset: int) -> Iterator[StoredPhoto]:
    for member in archive:
        if member.isfile() and not _is_image(member.name):
            ignored.append(f"{path}: {member.name}")
        elif member.isfile():
            name = pathlib.PurePath(member.name).name
            yield StoredPhoto(
                container=path, name=name, class_name="", size=member.size, offset=offset + member.offset_data
            )


def _in_class_folders(folder: pathlib.Path, ignored: list[str]) -> list[StoredPhoto]:
    photos: list[StoredPhoto] = []
    empty = []
    for class_folder in sorted(folder.iterdir()):
        if not class_folder.is_dir():
            ignored.append(str(class_folder))
            continue
        found = _in_folder(class_folder, class_name=class_folder.name, ignored=ignored)
        photos += found
        if not found:
            empty.append(class_folder.name)
    if empty:
        raise MissingDataError(
            f"{folder}: class folders without images: {', '.join(empty)}. Accepted are files ending in "
            f"{', '.join(SUFFIXES)}. Add images or remove the folders."
        )
    return _not_empty(photos, folder)


def _in_folder(folder: pathlib.Path, *, class_name: str, ignored: list[str]) -> list[StoredPhoto]:
    photos = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_image(entry.name):
                photos.append(StoredPhoto(container=folder, name=entry.name, class_name=class_name, size=_size(entry)))
            else:
                ignored.append(entry.path)
    return photos


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # such as a dangling link: reading it names it among the unreadable
        return 0


def _is_image(name: str) -> bool:
    path = pathlib.PurePath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _not_empty(photos: list[StoredPhoto], where: pathlib.Path) -> list[StoredPhoto]:
    if not photos:
        raise MissingDataError(f"{where} holds no images. Accepted: {_LAYOUTS}.")
    return photos


def _damaged(path: pathlib.Path, error: Exception) -> DamagedDataError:
    return DamagedDataError(f"{path} is damaged or was not downloaded whole: {error}. Download it again.")
