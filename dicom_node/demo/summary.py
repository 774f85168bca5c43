"""What `findings.json` says, in the few words of a table."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from dicom_node.wording import result_in_words
from pipeline.findings import Change, Side, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionSummary:
    """One lesion, without what a table has no room for."""

    tracking_uid: str
    change: Change
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LungSummary:
    """One lung."""

    side: Side
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneSummary:
    """A lesion of the earlier study that is no longer there."""

    tracking_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSummary:
    """An earlier study that was compared with."""

    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsSummary:
    """The findings of one study; the names are those of the document."""

    stage: Stage
    involvement_percent: float
    lungs: tuple[LungSummary, ...]
    lesions: tuple[LesionSummary, ...]
    gone_lesions: tuple[GoneSummary, ...]
    priors_used: tuple[PriorSummary, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The summary of a document that this node wrote."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    @property
    def found(self) -> str:
        """How much was found."""
        missing = [lung.side for lung in self.lungs if lung.volume_ml == 0]
        return result_in_words(len(self.lesions), self.involvement_percent, self.stage, missing)

    @property
    def changes(self) -> str:
        """How many lesions are new, grown, stable, shrunk, gone."""
        counts = Counter(lesion.change for lesion in self.lesions)
        counts[Change.GONE] = len(self.gone_lesions)
        return ", ".join(f"{counts[change]} {change}" for change in Change if counts[change]).replace("_", " ")
