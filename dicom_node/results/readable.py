"""Elements of source images that can be read as what the dictionary says they are; the others are left out."""

import logging
import struct
from typing import Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag
from pydicom.valuerep import STR_VR

from pipeline.frames import PER_FRAME, SHARED

logger = logging.getLogger(__name__)

BYTES_OF_NUMBER: Final = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
"""Length of one value (PS3.5 table 6.2-1); pydicom refuses a value that is no multiple of it."""

_OF_FRAMES: Final = frozenset({PER_FRAME, SHARED})

_FAULTS = (AttributeError, EOFError, LookupError, NotImplementedError, OSError, TypeError, ValueError, struct.error)
"""What pydicom raises when it decodes a value: OSError where the items of a sequence are cut off."""


def drop_unreadable(dataset: Dataset) -> None:
    """Take out what cannot be decoded, or is a number, text or sequence where the standard wants another of these.

    A result copies patient and study from its source, and one such element would cost all of it. Text stays, however it
    is filled: as a decimal string or a date it may be none all the same. Private elements and functional groups of
    frames are not looked at.
    """
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if tag.is_private or not dictionary_has_tag(tag) or not isinstance(element, RawDataElement):
            continue
        if not _is_readable(dataset, element, expected=dictionary_VR(tag)):
            logger.warning("source images hold an unreadable %s; the results leave it out", keyword_for_tag(tag))
            del dataset[tag]


def _is_readable(dataset: Dataset, element: RawDataElement, *, expected: str) -> bool:
    vr = expected if element.VR in {None, "UN"} else element.VR
    if vr in STR_VR and expected in STR_VR:
        return True
    if vr == expected and vr in BYTES_OF_NUMBER:
        return len(element.value or b"") % BYTES_OF_NUMBER[vr] == 0
    return _is_decoded_as(dataset, element.tag, expected)


def _is_decoded_as(dataset: Dataset, tag: BaseTag, expected: str) -> bool:
    try:
        decoded = dataset[tag]
    except (*_FAULTS, BytesLengthException):
        return False
    if decoded.VR == "SQ" and keyword_for_tag(tag) not in _OF_FRAMES:
        _drop_in_items(decoded)
    return (decoded.VR == "SQ") == (expected == "SQ") and (decoded.VR in STR_VR or expected not in STR_VR)


def _drop_in_items(sequence: DataElement) -> None:
    for item in sequence.value or ():
        drop_unreadable(item)
