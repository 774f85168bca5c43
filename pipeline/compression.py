"""Whether the images of a series have lost something by compression."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.uid import HTJ2K, JPEG2000

from pipeline.image_header import ImageHeader
from pipeline.read import FOREIGN_READ_ERRORS
from pipeline.tolerance import tolerant_pydicom

_EITHER_WAY = frozenset({JPEG2000, HTJ2K})
"""Syntaxes that lose something or nothing (PS3.5 A.4.4, A.4.11)."""

_HEAD_BYTES = 2**16
"""Of encapsulated pixels, in which the main header of the first codestream stands: it begins them, after the offsets."""

_START, _START_OF_TILE, _CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\x52"
"""SOC with SIZ, SOT and COD (ITU-T T.800 A.2)."""

_TRANSFORMATION_AT = 13
"""From the marker COD to its last byte but precincts: 0 is the irreversible 9-7 filter, 1 the reversible 5-3 (table A.20)."""


class Loss(Enum):
    """The value is the sentence that says it; empty where there is nothing to say."""

    NONE = ""
    POSSIBLE = (
        "The images come in a compression that may lose something, and do not say whether it did: fine lesions can be missed, "
        "densities are less exact."
    )
    CERTAIN = "The images were compressed with loss: fine lesions can be missed, densities are less exact."


def loss_of(images: Sequence[ImageHeader]) -> Loss:
    """What headers say; of JPEG 2000 and HTJ2K what one codestream says beside them.

    Args:
        images: Of one series, that are read.
    """
    if any(image.is_lossy for image in images):
        return Loss.CERTAIN
    either_way = [image for image in images if image.transfer_syntax_uid in _EITHER_WAY]
    if either_way and _is_irreversible(either_way[0].path):
        return Loss.CERTAIN
    return Loss.NONE if all(image.is_called_lossless for image in either_way) else Loss.POSSIBLE


def _is_irreversible(path: Path) -> bool:
    """Whether the first codestream of a file is known to use the wavelet that loses something."""
    try:
        with tolerant_pydicom(), path.open("rb") as stream:
            return _transformation(stream) == 0
    except FOREIGN_READ_ERRORS:
        return False


def _transformation(stream: BinaryIO) -> int:
    """The wavelet by its number.

    Raises:
        ValueError: There is no codestream of JPEG 2000.
        LookupError: Its main header is longer than what is looked at.
    """
    pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    head = stream.read(_HEAD_BYTES)
    at = head.index(_START) + 2
    while head[at : at + 2] not in {_CODING_STYLE, _START_OF_TILE, b""}:
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return head[at + _TRANSFORMATION_AT] if head[at : at + 2] == _CODING_STYLE else -1
