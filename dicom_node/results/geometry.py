"""Where source images lie and how thick they are, as values that may stand in a result."""

import logging
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from dicom_node.results.uids import derive_uid
from pipeline.read import positive_number

logger = logging.getLogger(__name__)

PLACES: Final = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")

LONGEST_DS: Final = 16
"""Characters of one Decimal String (PS3.5 6.2)."""


def settle_geometry(dataset: Dataset, spacing_mm: float) -> None:
    """Give an image what results need of its geometry, and drop what is none.

    Args:
        dataset: With position, orientation and pixel spacing, as a volume was read from it.
        spacing_mm: Distance of the slices, which is their thickness where they do not say it in one number above zero.
    """
    if not dataset.get("FrameOfReferenceUID"):
        dataset.FrameOfReferenceUID = derive_uid("frame of reference", str(dataset.SeriesInstanceUID))
    thickness_mm = positive_number(dataset, "SliceThickness")
    if thickness_mm is None:
        dataset["SliceThickness"] = DataElement("SliceThickness", "DS", f"{spacing_mm:.6g}")
    if "SpacingBetweenSlices" in dataset and positive_number(dataset, "SpacingBetweenSlices") is None:
        logger.debug("source images hold a Spacing Between Slices that is none; the results do not repeat it")
        del dataset["SpacingBetweenSlices"]
    for keyword in (*PLACES, "SliceThickness", "SpacingBetweenSlices"):
        _shorten(dataset, keyword)


def _shorten(dataset: Dataset, keyword: str) -> None:
    """Write decimal strings that are longer than the standard allows with as many digits as fit.

    Others keep the very digits of the source: an element that results share with it is replaced, never changed.
    """
    if keyword not in dataset:
        return
    value = dataset[keyword].value
    numbers = [value] if isinstance(value, str | float) or not hasattr(value, "__iter__") else list(value)
    texts = [str(number) for number in numbers]
    if max(map(len, texts)) > LONGEST_DS:
        fitting = [
            text if len(text) <= LONGEST_DS else format_number_as_ds(float(number))
            for text, number in zip(texts, numbers, strict=True)
        ]
        dataset[keyword] = DataElement(keyword, "DS", fitting)
