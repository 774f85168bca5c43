"""What the pipeline says about a study: lesions, lungs, priors, limits."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.study import Grid, PassedOverSeries, StudyFiles, UInt8Array, UInt16Array, Volume


class LesionKind(StrEnum):
    """What a lesion mostly consists of."""

    GROUND_GLASS = "ground_glass"
    CONSOLIDATION = "consolidation"


class Change(StrEnum):
    """A lesion against the newest earlier study."""

    NEW = "new"
    GROWN = "grown"
    STABLE = "stable"
    SHRUNK = "shrunk"
    GONE = "gone"
    NOT_COMPARED = "not_compared"
    """No earlier study shows its place, or one of the two studies cuts the lesion off."""


class Stage(StrEnum):
    """Stage of the disease (Pan et al. 2020), as far as one or more CT studies can tell."""

    NO_LESION = "no_lesion"
    EARLY = "early"
    ADVANCED = "advanced"
    SEVERE = "severe"
    ABSORPTION = "absorption"
    INDETERMINATE = "indeterminate"


class Side(StrEnum):
    """The lung a lesion lies in, or mostly lies in."""

    RIGHT = "right"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One lesion of the current study."""

    number: int
    """1..N, its value in `Analysis.lesion_labels`; 1 is the largest."""
    tracking_uid: str
    """The same in every study that shows this lesion (PS3.3 C.8.20.4, Tracking UID)."""
    tracking_id: str
    """Short name for people, for instance `Lesion 3F2A`; stays with the tracking UID."""
    kind: LesionKind
    side: Side
    score: float
    """0..1, not calibrated."""
    volume_ml: float
    """Voxel count x voxel volume on the source grid."""
    mean_hu: float
    sd_hu: float
    share_of_lung_percent: float
    """Of the lung named by `side`."""
    box_lps_mm: tuple[float, float, float, float, float, float]
    """x0, y0, z0, x1, y1, z1: corner voxel centres, LPS, smallest first."""
    key_slice: int
    """k of the source slice with the largest area."""
    change: Change
    prior_volume_ml: float | None
    """Of the same lesion in the newest earlier study; None where it was not seen there, or is not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneLesion:
    """A lesion of the newest earlier study that the current one no longer shows."""

    tracking_uid: str
    tracking_id: str
    kind: LesionKind
    side: Side
    prior_volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LungFigures:
    """One lung."""

    side: Side
    volume_ml: float
    lesion_volume_ml: float
    involvement_percent: float | None
    """None where this lung was not found: `volume_ml` is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPrior:
    """An earlier study that took part."""

    study_instance_uid: str
    series_instance_uid: str
    acquired_at: datetime | None
    """In the zone that its images name, else as if their clock went by UTC: its date is the one that people know."""
    interval_days: float | None
    lung_overlap_dice: float
    """After alignment."""
    lesion_count: int | None = None
    """As its own result reported it, else as this run found it; None when neither is known, or the current study shows
    less than nine tenths of its lungs, where alone this run looked. So are the next two."""
    lesion_volume_ml: float | None = None
    """Inside the lungs."""
    involvement_percent: float | None = None
    """Of both lungs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedPrior:
    """An earlier study that was offered and not used."""

    study_instance_uid: str
    reason: str
    """One plain sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCalibration:
    """Where the patient score is a probability, as the model pack says."""

    population: str
    """Whom the probability holds for, for instance "synthetic phantoms"."""
    calibrated_on: str
    """Which cases, in a few words."""
    studies: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePoint:
    """A threshold of the patient score, with what was measured there."""

    name: str
    """`default`, `sensitivity_95`, `specificity_95`."""
    threshold: float
    """A study in which lesions are reported counts as positive from here on."""
    sensitivity: float
    specificity: float
    diseased: int
    """Studies that the sensitivity was measured on."""
    healthy: int
    """Studies that the specificity was measured on."""


DEFAULT_POINT = "default"
"""The operating point that decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What made the findings."""

    name: str
    version: str
    weights_sha256: str
    """Over the files of the model pack."""
    thresholds: dict[str, float]
    synthetic_training_only: bool
    """True for demo weights."""
    calibration: ScoreCalibration | None = None
    """None: the patient score ranks studies and is no probability."""
    operating_points: tuple[ScorePoint, ...] = ()
    """Empty: never measured for what made these findings."""

    @property
    def default_point(self) -> ScorePoint | None:
        """The operating point that decides; None when none was measured."""
        return next((point for point in self.operating_points if point.name == DEFAULT_POINT), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything the pipeline says about one study."""

    study_instance_uid: str
    series_instance_uid: str
    series_description: str
    series_reason: str
    passed_over: tuple[PassedOverSeries, ...]
    series_number: int | None = None
    series_speaks_for: tuple[str, ...] = ()
    """By what the series is better than another that could be read."""
    series_speaks_against: tuple[str, ...] = ()
    """By what another one would be better."""
    input_sop_instance_uids: tuple[str, ...]
    """Slice order k."""
    input_frame_numbers: tuple[int, ...] = ()
    """Slice order k; empty where the slices are single-frame images."""
    patient_score: float
    """0..1: how much the study looks like diseased ones; a probability only where `algorithm.calibration` says."""
    stage: Stage
    lungs: tuple[LungFigures, ...]
    """Right, then left."""
    involvement_percent: float
    """Of both lungs, or of the one that was found."""
    lesions: tuple[Lesion, ...]
    gone_lesions: tuple[GoneLesion, ...]
    priors_used: tuple[UsedPrior, ...]
    """Newest first; changes are against the first."""
    priors_dropped: tuple[DroppedPrior, ...]
    priors_were_searched: bool = False
    """Whether it is known that there are no others, wherever whoever offered them was told to look."""
    qualifications: tuple[str, ...]
    algorithm: Algorithm
    slice_scores: tuple[float, ...] = ()
    """Of each input slice, 0..1, not calibrated: it shows a lesion. Empty where slices are not axial."""

    @property
    def missing_lungs(self) -> tuple[Side, ...]:
        """Those that were not found: nothing is known of them."""
        return tuple(lung.side for lung in self.lungs if lung.involvement_percent is None)

    @property
    def is_positive(self) -> bool | None:
        """Whether lesions are reported and the patient score reaches the default operating point; None without one."""
        point = self.algorithm.default_point
        return None if point is None else bool(self.lesions) and self.patient_score >= point.threshold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis:
    """Findings with the volume and the masks they were measured on, all on the source grid."""

    findings: Findings
    volume: Volume
    lung_mask: UInt8Array
    """(k, j, i): 0, `RIGHT_LUNG`, `LEFT_LUNG`."""
    lesion_labels: UInt16Array
    """(k, j, i): 0 or the number of a lesion."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownLesions:
    """What an earlier run already reported for a study: its SR is out, so its numbers and UIDs stand."""

    series_instance_uid: str
    """The series that was read: another one of the study shows the patient in another position or breath."""
    grid: Grid
    """Of that series."""
    lung_mask: UInt8Array
    lesion_labels: UInt16Array
    lesions: tuple[Lesion, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriorStudy:
    """An earlier study of the same patient, offered for comparison."""

    files: StudyFiles
    known: KnownLesions | None = None
    """None: no earlier run; the lesions are then found in the same run."""
