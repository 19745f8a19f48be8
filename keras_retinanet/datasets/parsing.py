"""Reading text files that people and other programs wrote."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from keras_retinanet.errors import DataError, show
from keras_retinanet.images.header import IMAGE_SUFFIXES


def read_text(path: str | os.PathLike[str], kind: str) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Args:
        path: the file.
        kind: what it should be, "a COCO JSON file".

    Raises:
        DataError: if it cannot be read or is something else than text.
    """
    try:
        with open(path, "rb") as file:
            encoded = file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give {kind}") from None
    try:
        return encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text (byte {error.start}); give {kind}, saved as UTF-8"
        ) from None


def finite_numbers(values: Iterable[Any]) -> list[float] | None:
    """Texts or numbers as floats; None unless all are finite numbers.

    Beyond 1e15 no product of two would be exact or even finite, so that counts as no number too.
    """
    numbers = []
    for value in values:
        if isinstance(value, str) and "_" in value:  # Python's own way to group digits
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        if not -1e15 < number < 1e15:
            return None
        numbers.append(number)
    return numbers


_Record = TypeVar("_Record", bound=msgspec.Struct)


def typed(record: Any, type_: type[_Record], must_be: Mapping[str, str]) -> _Record:
    """A record of a JSON file as its type; fields that the type has not are passed over.

    Args:
        record: a parsed JSON value.
        type_: what it is to be.
        must_be: what each field of that must be, in words.

    Raises:
        DataError: without the name of a file or record, for the first field that is not so.
    """
    if type(record) is not dict:
        raise DataError(f"must be a JSON object, but is {show(record)}")
    known = {key: record[key] for key in type_.__struct_encode_fields__ if key in record}
    try:
        return msgspec.convert(known, type_)
    except msgspec.ValidationError as error:
        # "Expected `float`, got `str` - at `$.bbox[0]`", "... missing required field `bbox`"
        field = re.findall(r"`\W*(\w+)", str(error))[-1]
        is_ = show(record[field]) if field in record else "missing"
        raise DataError(f"{field} must be {must_be[field]}, but is {is_}") from None
    except UnicodeEncodeError as error:
        problem = "holds half of a pair of surrogates, which is no character"
        raise DataError(f"the text {show(error.object)} {problem}") from None


def image_size(sides: Sequence[str | None], name: str) -> tuple[int, int] | None:
    """Height and width of an image from their texts; None where neither is said, or both are 0.

    Args:
        sides: height and width, each None where it is not said.
        name: what the message calls the two.

    Raises:
        DataError: without the name of a file, if they are no whole numbers.
    """
    if not any(sides):
        return None
    numbers = finite_numbers(sides)
    if numbers is None or any(number != int(number) for number in numbers):
        raise DataError(f"{name} must be whole numbers of pixels, but is {show(sides)}")
    return (int(numbers[0]), int(numbers[1])) if any(numbers) else None


def csv_rows(source: str, text: str, kind: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a comma-separated table that are not empty, each with the number of its line.

    Raises:
        DataError: where the text is no such table.
    """
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{source}: line {reader.line_num}: {error}; give {kind}") from None


# Images that people have and that are not read.
UNREAD_SUFFIXES = (".jfif", ".jp2", ".jxl", ".pbm", ".pgm", ".pnm", ".ppm", ".svg", ".tga")


def unread_image(file: str | os.PathLike[str]) -> str:
    """What is said of an image whose ending is one of `UNREAD_SUFFIXES`."""
    return (
        f"{os.fspath(file)}: images of this format are not read ({', '.join(IMAGE_SUFFIXES)} are); "
        "convert it"
    )


def image_path(folder: str, name: str) -> str:
    """The path of an image by the name in its annotation, with the separators of any system."""
    path = os.path.join(folder, name)
    is_foreign = "\\" in name and not os.path.lexists(path)
    return os.path.join(folder, name.replace("\\", "/")) if is_foreign else path


class ImageFolder:
    """A folder whose images are named like their annotations, up to the ending.

    Args:
        folder: it, and each of its subfolders that an annotation leads to, is listed once.

    Raises:
        DataError: if there is no such folder, or it holds neither images nor folders.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self._names: dict[str, dict[str, list[str]]] = {}
        if not self._listed("") and not any(entry.is_dir() for entry in os.scandir(folder)):
            raise DataError(
                f"{self.folder}: the folder holds no images ({', '.join(IMAGE_SUFFIXES)}); name "
                "the one that does"
            )

    def __contains__(self, stem: str) -> bool:
        return stem in self._listed("")

    def find(self, stem: str) -> str:
        """The path of the image called `stem`, which may lead into subfolders.

        Raises:
            DataError: if there is none or more than one.
        """
        subfolder, name = os.path.split(stem)
        path = os.path.join(self.folder, subfolder)
        names = self._listed(subfolder).get(name, [])
        read = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
        if not read and names:
            raise DataError(unread_image(os.path.join(path, names[0])))
        if not read:
            raise DataError(
                f"{os.path.join(path, name)}: no such image ({', '.join(IMAGE_SUFFIXES)}); "
                "put it there or leave its annotation out"
            )
        if len(read) > 1:
            raise DataError(f"{path}: {' and '.join(read)} have one name; remove one")
        return os.path.join(path, read[0])

    def _listed(self, subfolder: str) -> dict[str, list[str]]:
        """The names of the images of a subfolder by their stems; none if it is not there."""
        if subfolder not in self._names:
            path = os.path.join(self.folder, subfolder)
            by_stem = self._names[subfolder] = {}
            if not subfolder or os.path.isdir(path):
                for name in list_folder(path, "the images", IMAGE_SUFFIXES + UNREAD_SUFFIXES):
                    by_stem.setdefault(os.path.splitext(name)[0], []).append(name)
        return self._names[subfolder]


def list_folder(
    folder: str | os.PathLike[str], content: str, suffixes: tuple[str, ...]
) -> list[str]:
    """The names of the files in a folder with one of these endings, sorted; hidden ones are not.

    Args:
        folder: subfolders are not looked into.
        content: what should be in it, for the message.
        suffixes: in small letters; files may have them in capitals.

    Raises:
        DataError: if there is no such folder.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DataError(
            f"{os.fspath(folder)}: not a folder to read {content} from ({error.strerror})"
        ) from None
    return sorted(n for n in names if n.lower().endswith(suffixes) and not n.startswith("."))


def list_annotations(folder: str, suffix: str) -> list[str]:
    """The names of the annotation files of a folder, of the ending `suffix`, sorted.

    Raises:
        DataError: if there is no such folder, or it holds none.
    """
    content = "text files" if suffix == ".txt" else f"{suffix[1:].upper()} files"
    names = list_folder(folder, content, (suffix,))
    if not names:
        raise DataError(f"{folder}: the data set is empty: the folder holds no {content}")
    return names
