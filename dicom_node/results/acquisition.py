"""When and how source images were acquired, as values that may stand in a result."""

import logging
import re
from datetime import UTC
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from dicom_node.listen.instants import date_from_da, first_instant, instant_from_dt, time_from_tm, zone_from_offset
from dicom_node.results.geometry import settle_decimal_strings
from pipeline.syntaxes import is_lossy_syntax

logger = logging.getLogger(__name__)

LOSSY: Final = "01"
"""Of Lossy Image Compression (0028,2110): the image has been compressed with loss at least once (PS3.3 C.7.6.1.1.5)."""
NOT_LOSSY: Final = "00"

_METHOD_OF_SYNTAX: Final[dict[str, str]] = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
}
"""Lossy Image Compression Method (0028,2114) by transfer syntax (PS3.3 C.7.6.1.1.5.1)."""

_RATIO: Final = re.compile(r"\+?(\d{1,10}(\.\d*)?|\.\d+)([eE][+-]?\d)?", re.ASCII)
"""A Decimal String (PS3.5 6.2) of a finite number that is not negative."""

_CODE_STRING: Final = re.compile(r"[A-Z0-9 _]{1,16}", re.ASCII)
"""PS3.5 6.2, CS."""

_DATED: Final = ("Acquisition", "Series", "Study")

_OFFSET_CHARACTERS: Final = 5
"""&ZZXX (PS3.5 6.2, DT)."""


def settle_offset(dataset: Dataset) -> None:
    """Drop a Timezone Offset From UTC (0008,0201) that is none: the listener took the times as if there were none."""
    if "TimezoneOffsetFromUTC" in dataset and not zone_from_offset(str(dataset.TimezoneOffsetFromUTC or "")):
        if dataset.TimezoneOffsetFromUTC:
            logger.warning("source images hold an invalid TimezoneOffsetFromUTC; the results name none")
        del dataset.TimezoneOffsetFromUTC


def settle_acquisition_date_time(dataset: Dataset) -> None:
    """Drop an Acquisition DateTime (0008,002A) that is none: it would be repeated in results."""
    if "AcquisitionDateTime" in dataset and not _is_date_time(str(dataset.AcquisitionDateTime or "")):
        if dataset.AcquisitionDateTime:
            logger.warning("source images hold an invalid AcquisitionDateTime; the results do not repeat it")
        del dataset.AcquisitionDateTime


def settle_lossy_compression(dataset: Dataset, transfer_syntax_uid: str) -> None:
    """Say of an image that came in a syntax that always loses something that it was compressed with loss.

    What it says itself stays where it makes sense; a ratio that is none is not repeated, nor is another one made up.
    """
    _settle_said_loss(dataset)
    if is_lossy_syntax(transfer_syntax_uid) and not was_compressed_with_loss(dataset):
        dataset.LossyImageCompression = LOSSY
        dataset.LossyImageCompressionMethod = _METHOD_OF_SYNTAX[transfer_syntax_uid]


def _settle_said_loss(dataset: Dataset) -> None:
    if was_compressed_with_loss(dataset) and dataset.LossyImageCompression != LOSSY:
        dataset["LossyImageCompression"] = DataElement("LossyImageCompression", "CS", LOSSY)
    ratios, methods = _texts(dataset, "LossyImageCompressionRatio"), _texts(dataset, "LossyImageCompressionMethod")
    if not all(_RATIO.fullmatch(text) for text in ratios):
        _leave_out(dataset, "LossyImageCompressionRatio")
    if not all(_CODE_STRING.fullmatch(text) for text in methods):
        _leave_out(dataset, "LossyImageCompressionMethod")
    settle_decimal_strings(dataset, "LossyImageCompressionRatio")


def _leave_out(dataset: Dataset, keyword: str) -> None:
    logger.warning("source images hold an invalid %s; the results do not repeat it", keyword)
    del dataset[keyword]


def _texts(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an element, without padding; none where it is missing or empty."""
    value = dataset.get(keyword)
    values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    texts = [str(one if one is not None else "").strip(" \0") for one in values]
    return texts if any(texts) else []


def acquisition_date_time(source: Dataset) -> str:
    """When an image was acquired (VR DT), from its date and time where it has no DateTime; empty where it does not say."""
    said = str(source.get("AcquisitionDateTime") or "")
    if _is_date_time(said):
        return said
    day, moment = (str(source.get(f"Acquisition{name}") or "").strip(" \0") for name in ("Date", "Time"))
    if date_from_da(day) is None:
        return ""
    return day.replace(".", "") + (moment.replace(":", "") if time_from_tm(moment) else "")


def acquisition_day(image: Dataset) -> str:
    """The day of the study, YYYY-MM-DD, as the scanner writes it; empty where no date is one.

    Of what the images say, in the order in which the listener takes it (`listen.header`): Acquisition DateTime, else the date
    of acquisition, series or study. Enhanced CT has the first alone, and its series may be of a later reconstruction.
    """
    said = str(image.get("AcquisitionDateTime") or "")
    acquired_at = instant_from_dt(said, zone=UTC) if _is_date_time(said) else None
    pairs = ((str(image.get(f"{what}Date") or ""), str(image.get(f"{what}Time") or "")) for what in _DATED)
    instant = acquired_at or first_instant(pairs, zone=UTC)
    return instant.date().isoformat() if instant else ""


def was_compressed_with_loss(image: Dataset) -> bool:
    """Whether an image says so."""
    return LOSSY in _texts(image, "LossyImageCompression")


def _is_date_time(text: str) -> bool:
    offset = text[-_OFFSET_CHARACTERS:]
    has_offset = offset[:1] in {"+", "-"}
    return instant_from_dt(text, zone=UTC) is not None and (not has_offset or zone_from_offset(offset) is not None)
