"""Reads structured reports with plain pydicom."""

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset

from pipeline.study import Float64Array


def name_of(item: Dataset) -> str:
    """Meaning of the concept name of a content item."""
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def children(item: Dataset, name: str) -> list[Dataset]:
    """The direct content items of that name."""
    return [child for child in item.get("ContentSequence", ()) if name_of(child) == name]


def walk(item: Dataset) -> Iterator[Dataset]:
    """All content items below, in order."""
    for child in item.get("ContentSequence", ()):
        yield child
        yield from walk(child)


def groups(report: Dataset) -> list[Dataset]:
    """The measurement groups in order."""
    return children(children(report, "Imaging Measurements")[0], "Measurement Group")


def groups_of(report: Dataset, tracking_identifier: str) -> list[Dataset]:
    """The measurement groups of one thing."""
    return [group for group in groups(report) if text(group, "Tracking Identifier") == tracking_identifier]


def text(item: Dataset, name: str) -> str:
    """Value of the one text of that name."""
    (found,) = children(item, name)
    return str(found.TextValue)


def code(item: Dataset, name: str) -> str:
    """Meaning of the one code of that name."""
    (found,) = children(item, name)
    return str(found.ConceptCodeSequence[0].CodeMeaning)


def uid(item: Dataset, name: str) -> str:
    """Value of the one UID of that name."""
    (found,) = children(item, name)
    return str(found.UID)


def numbers(item: Dataset) -> dict[str, tuple[float, str]]:
    """Values and unit codes of the numbers directly below."""
    found = [child for child in item.ContentSequence if child.ValueType == "NUM"]
    measured = {name_of(child): child.MeasuredValueSequence[0] for child in found}
    return {
        name: (float(value.NumericValue), str(value.MeasurementUnitsCodeSequence[0].CodeValue))
        for name, value in measured.items()
    }


def contour(group: Dataset) -> tuple[Float64Array, str]:
    """Points (column, row) of the one region of a group, and the image that it lies on."""
    (region,) = children(group, "Image Region")
    points = np.array(region.GraphicData, dtype=float).reshape(-1, 2)
    return points, str(region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
