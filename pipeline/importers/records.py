"""What importers hand over, whatever they read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Final

from pipeline.study import Grid, Int8Array, Int16Array, UInt8Array

NO_LESION: Final = 0
GROUND_GLASS: Final = 1
CONSOLIDATION: Final = 2
OTHER_OPACITY: Final = 3
NOT_KNOWN: Final = 255
"""Values of a lesion mask. Nobody said of a voxel that is not known whether it is lesion; training learns nothing there."""

_NON_COMMERCIAL: Final = re.compile(r"(?<![A-Z0-9])NC(?![A-Z0-9])|NON[\W_]{0,3}COMMERCIAL")
_NO_DERIVATIVES: Final = re.compile(r"(?<![A-Z0-9])ND(?![A-Z0-9])|NO[\W_]{0,3}DERIV")
"""Of names in capitals, short or in full as creativecommons.org/licenses writes them: "CC BY-NC-ND 4.0",
"Attribution-NonCommercial-NoDerivatives 4.0 International", "NoDerivs" up to version 3.0."""

LOBES: Final = ("left lower", "left upper", "right lower", "right middle", "right upper")


class StudyLabel(Enum):
    """What is known of a study as a whole."""

    COVID_19 = "covid-19"
    PNEUMONIA = "pneumonia"
    LESION = "lesion"
    """Shows lesions, of whatever cause."""
    NODULE = "nodule"
    """Read for lung nodules, not for infection."""
    HEALTHY = "healthy"
    UNKNOWN = "unknown"

    @property
    def is_diseased(self) -> bool:
        """Whether it counts as a patient with lesions of the kind that is looked for."""
        return self in {StudyLabel.COVID_19, StudyLabel.PNEUMONIA, StudyLabel.LESION}


class KindSource(Enum):
    """Where ground-glass and consolidation of a lesion mask come from."""

    DRAWN = "drawn"
    BY_HU = "by-hu"
    """At least a part was drawn as lesion only; see `pipeline.importers.truth` for the rule."""
    NONE = "none"
    """There is no lesion mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """Terms that data came under."""

    name: str
    attribution: str
    note: str = ""
    """What to know before the data, or weights trained on them, are passed on."""

    @property
    def is_non_commercial(self) -> bool:
        """Whether it forbids commercial use, by its name."""
        return _NON_COMMERCIAL.search(self.name.upper()) is not None

    @property
    def is_no_derivatives(self) -> bool:
        """Whether it forbids to pass on what was made from the data, by its name."""
        return _NO_DERIVATIVES.search(self.name.upper()) is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What readers drew in a study."""

    lung_mask: UInt8Array | None = None
    """(z, y, x): 0, `RIGHT_LUNG`, `LEFT_LUNG`; None where nobody drew lungs."""
    lesion: UInt8Array | None = None
    """(z, y, x): 0, 1 ground-glass, 2 consolidation, 3 other opacity, 255 not known; None where nobody drew lesions."""
    kinds: KindSource = KindSource.NONE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedStudy:
    """One CT series with what is known of it. Identifiers are those of the source; the store keeps only their hashes."""

    patient: str
    study: str
    """Names it among the patient's studies."""
    volume_hu: Int16Array
    """(z, y, x) in patient order: to superior, posterior, left."""
    grid: Grid
    truth: Truth = field(default_factory=Truth)
    label: StudyLabel = StudyLabel.UNKNOWN
    slice_labels: Int8Array | None = None
    """(z,): 1 the slice shows a lesion, 0 it does not, -1 not known."""
    lobe_labels: Int8Array | None = None
    """(z, 5): the same for each of `LOBES`."""
    acquired_on: date | None = None
    day: float | None = None
    """Where the source counts days instead of giving dates."""
    site: str = ""
    kernel: str = ""
    thickness_mm: float | None = None
    drawn_by: str = ""
    """How masks were made where the source says: "manual", "semiautomatic", "automatic"."""
    left_out: tuple[str, ...] = ()
    """Names of structures that mean nothing here; told to the user, not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStudy:
    """A study that was found and is yet to be read."""

    where: str
    """File or folder, relative to the source; told to the user, not stored."""
    read: Callable[[], ImportedStudy]
    """Raises StudyNotImportedError with the reason why it cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that was not imported."""

    where: str
    reason: str
    """One plain sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudies:
    """What a folder holds."""

    studies: tuple[SourceStudy, ...]
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should look at, each a phrase: what has no counterpart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user may say about a source."""

    name: str = ""
    """Of the source; empty: what the importer calls it."""
    structures: Mapping[str, str] = field(default_factory=dict)
    """Name of a structure, or value of a mask, to a word of `pipeline.importers.structures`."""
    images: str = "{id}.nii.gz"
    masks: str = "{id}_mask.nii.gz"
    lungs: str = "{id}_lung.nii.gz"
    patient: str = "(.+)"
    """Regular expression for an id; its first group names the patient."""
    table: Path | None = None
    """CSV with the column `id` and any of `patient`, `day`, `label`, `site`."""
    split_by: str = "patient"
    """"patient" or "site"."""
    nodules: str = "not-known"
    """"not-known" or "no-lesion": what nodules of `lidc` become."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """One format."""

    name: str
    source: str
    """Name of the source unless the user gives one; empty: that of the folder. Patients are told apart within a source."""
    summary: str
    licence: Licence
    """Of the data set that comes in this format, unless the user says otherwise."""
    find: Callable[[Path, ImportOptions], FoundStudies]
    """Looks through the folder without reading voxels; raises NothingToImportError."""
