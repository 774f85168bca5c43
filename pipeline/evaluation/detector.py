"""What every detector that is evaluated gives for a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.study import Float32Array
from pipeline.training.cases import CaseStudy

LEAST_SCORE = 0.05
"""Boxes below this are not kept in a reading."""

BOX_OVERLAP = 0.5
"""Two boxes of a slice that overlap more (intersection over union) are one, for every detector alike."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceBoxes:
    """The boxes of one slice after the shared suppression, best first."""

    boxes: Float32Array
    """(n, 4): x0, y0, x1, y1 in pixels of the case's grid, where pixel i covers i..i+1."""
    scores: Float32Array
    """(n,), `LEAST_SCORE`..1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyReading:
    """What a detector says of one study."""

    boxes: tuple[SliceBoxes, ...]
    """One per slice."""
    slice_logits: Float32Array
    """(Z,): how much the slice looks like it shows a lesion."""
    lesion_probability: Float32Array | None
    """(Z, Y, X), 0..1; None where the detector draws no mask and its boxes stand for it."""


class Detector(Protocol):
    """Finds lesions in studies of one patient on one grid."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def looks_back(self) -> bool:
        """False where it reads each study for itself."""

    def read(self, studies: Sequence[CaseStudy]) -> StudyReading:
        """What is seen in the newest study.

        Args:
            studies: Of one patient, the newest last; the earlier ones are in view of a detector that looks back.
        """
        ...
