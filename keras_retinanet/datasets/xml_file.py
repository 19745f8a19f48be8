"""Reading XML files that people and other programs wrote."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from typing import NoReturn
from xml.parsers import expat

from keras_retinanet.errors import DataError

# From here on expat bounds what a small file can grow to.
_SAFE_EXPAT = (2, 4, 1)


def parse_xml(file: str | os.PathLike[str], kind: str) -> ET.Element:
    """The outermost element of an XML file, <annotation>.

    Args:
        file: the path.
        kind: what it should be, "VOC".

    Raises:
        DataError: without the name of the file, if it cannot be read, is not XML, has another
            outermost element, or declares entities, by which a small file can grow to any size
            (CWE-776).
    """
    if expat.version_info < _SAFE_EXPAT:
        raise DataError(
            f"the XML parser of this Python ({expat.EXPAT_VERSION}) has no protection against "
            "hostile files; update expat to 2.4.1 or later"
        )
    builder, parser = ET.TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.EntityDeclHandler = _refuse_entity
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        with open(file, "rb") as stream:
            parser.Parse(stream.read(), True)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror}); put it there") from None
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last: unknown encodings
        if isinstance(error, DataError):
            raise
        raise DataError(f"not XML ({error}); write it anew or leave it out") from None
    root = builder.close()
    if root.tag != "annotation":
        raise DataError(
            f"not a {kind} file: its outermost element is <{root.tag}>, not <annotation>"
        )
    return root


def _refuse_entity(name: str, *_: object) -> NoReturn:
    raise DataError(f"declares the entity {name!r}; annotations need none, remove the declaration")
