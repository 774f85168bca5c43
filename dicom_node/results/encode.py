"""DICOM objects as bytes that are the same each time."""

import gc
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from pydicom.charset import default_encoding
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicom_node.listen.instants import zone_from_offset
from dicom_node.results.context import ResultContext
from dicom_node.results.uids import ResultUids


def ascii_text(text: str) -> str:
    """`text` in ASCII, so that every character set of a source holds it."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode("ascii")


def long_string(text: str) -> str:
    """`text` as a value of VR LO: ASCII, at most 64 characters, no backslash (PS3.5 6.2)."""
    return ascii_text(text).replace("\\", "/")[:64].rstrip()


def local_moment(context: ResultContext, timezone_offset: str) -> datetime:
    """When the result was made, in the zone that the source names as `+hhmm`, else in that of the context."""
    zone = zone_from_offset(timezone_offset)
    return context.created_at.astimezone(zone) if zone else context.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What takes the place of clock and chance in the objects of one result set."""

    moment: datetime
    timezone_offset: str
    """As the source names it, or empty."""
    uids: ResultUids


def stamp_for(context: ResultContext, *, timezone_offset: str, uids: ResultUids) -> Stamp:
    """The stamp of a result set."""
    return Stamp(moment=local_moment(context, timezone_offset), timezone_offset=timezone_offset, uids=uids)


def make_reproducible(dataset: Dataset, stamp: Stamp, *, kind: str) -> None:
    """Replace what highdicom takes from the clock and from chance.

    Those are: instance creation, content and contribution date and time, Dimension Organization UID.
    """
    moment = stamp.moment
    if stamp.timezone_offset:
        dataset.TimezoneOffsetFromUTC = stamp.timezone_offset
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S.%f}"
    dataset.InstanceCreationDate = dataset.ContentDate = dataset.SeriesDate = date
    dataset.InstanceCreationTime = dataset.ContentTime = dataset.SeriesTime = time
    dataset.ContributingEquipmentSequence[-1].ContributionDateTime = f"{date}{time}"
    organization_uid = stamp.uids.derive(f"{kind} dimension organization")
    for item in (*dataset.get("DimensionOrganizationSequence", ()), *dataset.get("DimensionIndexSequence", ())):
        item.DimensionOrganizationUID = organization_uid


def dicom_bytes(dataset: Dataset, encoded: Mapping[int, bytes] | None = None) -> bytes:
    """`dataset` as a DICOM file (PS3.10) with preamble and file meta information.

    Args:
        dataset: The attributes, for Explicit VR Little Endian.
        encoded: Further attributes by tag, each as a whole element that is encoded already; they take their places
            between those of `dataset`, which has none of them.
    """
    tags = sorted(encoded or {})
    if encoded is None or not tags:
        return _file(dataset, dataset)
    pieces = [_file(dataset[: tags[0]], dataset)]
    for tag, next_tag in zip(tags, (*tags[1:], None), strict=True):
        pieces += [encoded[tag], _elements(dataset[tag:next_tag], dataset)]
    return b"".join(pieces)


def _file(part: Dataset, whole: Dataset) -> bytes:
    """Preamble, file meta information of `whole` and the elements of `part`."""
    buffer = BytesIO()
    part.file_meta = whole.file_meta
    part.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _elements(part: Dataset, whole: Dataset) -> bytes:
    """The elements of `part` in the character set of `whole`."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, part, whole.get("SpecificCharacterSet") or default_encoding)
    return buffer.getvalue()


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection inside: it would look at a hundred thousand new objects, all in use, again and again."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
