"""Where source images lie and how thick they are, as values that may stand in a result."""

import logging
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from dicom_node.results.uids import derive_uid
from pipeline.read import positive_number

logger = logging.getLogger(__name__)

NUMBERS: Final = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("RescaleSlope", "RescaleIntercept"),
)
"""The decimal strings that results are computed from or repeat."""

LONGEST_DS: Final = 16
"""Characters of one Decimal String (PS3.5 6.2)."""


def settle_geometry(dataset: Dataset, spacing_mm: float) -> None:
    """Give an image what results need of its geometry, and drop what is none.

    Args:
        dataset: With position, orientation and pixel spacing, as a volume was read from it.
        spacing_mm: Distance of the slices, which is their thickness where they do not say it in one number above zero.
    """
    _settle_frame_of_reference(dataset)
    thickness_mm = positive_number(dataset, "SliceThickness")
    if thickness_mm is None:
        dataset["SliceThickness"] = DataElement("SliceThickness", "DS", f"{spacing_mm:.6g}")
    if "SpacingBetweenSlices" in dataset and positive_number(dataset, "SpacingBetweenSlices") is None:
        logger.debug("source images hold a Spacing Between Slices that is none; the results do not repeat it")
        del dataset["SpacingBetweenSlices"]
    for keyword in NUMBERS:
        settle_decimal_strings(dataset, keyword)


def _settle_frame_of_reference(dataset: Dataset) -> None:
    """Make one up for the series where there is none; of several keep the first, since there is one (PS3.3 C.7.4.1)."""
    said = dataset.get("FrameOfReferenceUID") or ""
    uids = [said] if isinstance(said, str) else list(said)
    if len(uids) > 1:
        logger.warning("source images hold several values of FrameOfReferenceUID; the results repeat the first")
    if len(uids) > 1 or not said:
        first = next((str(uid) for uid in uids if uid), "")
        uid = first or derive_uid("frame of reference", str(dataset.SeriesInstanceUID))
        dataset["FrameOfReferenceUID"] = DataElement("FrameOfReferenceUID", "UI", uid)


def settle_decimal_strings(dataset: Dataset, keyword: str) -> None:
    """Write decimal strings that are longer than the standard allows with as many digits as fit, and none with NUL.

    pydicom takes for text what has a NUL between the values. Others keep the very digits of the source: an element that
    results share with it is replaced, never changed.
    """
    if not dataset.get(keyword):
        return
    value = dataset[keyword].value
    numbers = [value] if isinstance(value, str | float) or not hasattr(value, "__iter__") else list(value)
    texts = [str(number) for number in numbers]
    if max(map(len, texts)) > LONGEST_DS or any(isinstance(number, str) for number in numbers):
        dataset[keyword] = DataElement(keyword, "DS", [_fitting(text.strip("\0 ")) for text in texts])


def _fitting(text: str) -> str:
    return text if len(text) <= LONGEST_DS else format_number_as_ds(float(text))
