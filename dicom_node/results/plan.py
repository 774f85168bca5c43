"""Which result objects of a study are made, beside the findings and the pictures."""

from dataclasses import dataclass
from enum import StrEnum


class SrClass(StrEnum):
    """The SOP class of a structured report."""

    COMPREHENSIVE = "comprehensive"
    """Comprehensive SR: what most PACS and viewers take."""
    COMPREHENSIVE_3D = "comprehensive_3d"
    ENHANCED = "enhanced"
    BASIC_TEXT = "basic_text"
    """Text without coordinates, for a PACS that takes nothing else."""


class SrLayout(StrEnum):
    """How a structured report says where a lesion is."""

    VIEWERS = "viewers"
    """Segment and contour, in two groups: what OHIF shows."""
    SEGMENTS_ONLY = "segments_only"
    """Segment alone, in the order of the segments: what 3D Slicer's QuantitativeReporting takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPlan:
    """What is made; segmentations always are."""

    sr_classes: tuple[SrClass, ...] = (SrClass.COMPREHENSIVE,)
    """One report of each, of which the first is `sr.dcm`; a destination gets the best that it takes."""
    sr_layout: SrLayout = SrLayout.VIEWERS
    pdf: bool = True
    """The report for people, as an encapsulated PDF."""
    capture: bool = False
    """A series of RGB pictures, for a PACS that takes no segmentation."""
    presentation_state: bool = False
    key_objects: bool = False

    def __post_init__(self) -> None:
        """Refuse a plan without a report.

        Raises:
            ValueError: No class of report, or one twice.
        """
        if not self.sr_classes or len(set(self.sr_classes)) < len(self.sr_classes):
            msg = "a result set has at least one report, and none twice"
            raise ValueError(msg)
