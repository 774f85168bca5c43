"""Records that cross the border of `storage`."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from storage.commitment_records import DeliveryCommitment
from storage.fetch_records import PriorFetchView
from storage.lifecycle import Event, State

CT = "CT"
"""Modality of computed tomography (PS3.3 C.7.3.1.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientKey:
    """Who a patient is: the ID counts only together with its issuer (PS3.3 C.7.1.1)."""

    patient_id: str
    issuer: str
    """Issuer of Patient ID; empty when the sender gave none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """One instance that is safely on disk, as the index needs it."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient: PatientKey
    patient_name: str
    """Decoded to Unicode, as in the data set."""
    birth_date: str
    """YYYYMMDD or empty."""
    sex: str
    """M, F, O or empty."""
    accession_number: str
    study_description: str
    series_description: str
    modality: str
    body_part: str
    instance_number: int | None
    acquired_at: datetime | None
    """From Acquisition, else Series, else Study date and time, in the zone of their offset from UTC; UTC without one."""
    sha256: str
    """Of the stored file."""
    size_bytes: int
    relative_path: str
    """Below the data folder."""
    calling_aet: str
    called_aet: str
    received_at: datetime
    association: str = ""
    """Which association carried it; empty for none, as when files are imported."""
    slice_position_mm: float | None = None
    """Of an axial slice, along its normal; None for everything else."""
    is_of_our_make: bool = False
    """Whether a dicom-node made it, by its equipment: a result that came back, whatever a PACS changed in it."""


class Recorded(StrEnum):
    """What the index did with a received instance."""

    NEW = "new"
    DUPLICATE = "duplicate"
    """Same instance, same bytes: nothing changes."""
    CONFLICT = "conflict"
    """Same SOP Instance UID, other bytes: both are kept, the first stays the one that is used."""
    OTHER_PATIENT = "other_patient"
    """The study belongs to another patient: kept, not used, and the study is held."""
    OWN_RESULT = "own_result"
    """One of our results came back: kept, never used, and nothing is run because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyActivity:
    """What completeness looks at."""

    study_instance_uid: str
    first_instance_at: datetime
    """When the study opened, or reopened for instances that came late: the cap counts from here."""
    last_instance_at: datetime
    instance_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Demographics:
    """What must not contradict between two studies of one patient; an empty value contradicts nothing."""

    patient_name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """Where an instance of a study lies, with the hash that it must still have."""

    path: Path
    """Below the data folder."""
    sha256: str
    sop_class_uid: str
    series_instance_uid: str
    modality: str
    calling_aet: str
    """AE title of the peer that sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right of one worker to run one attempt until its lease ends."""

    attempt_id: int
    study_instance_uid: str
    revision: int
    """Grows each time the study is run over other inputs."""
    attempt_number: int
    """1 for the first try of this revision; a try that was given back is not counted."""
    owner: str
    started_at: datetime
    """Of the first attempt of this revision: the same in each retry, so results are the same objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """One file of a result set, in place and synced."""

    kind: str
    """sr, seg-lungs, seg-lesions, pdf, capture, presentation_state, key_objects; report, findings, masks, preview."""
    path: Path
    sha256: str
    sop_class_uid: str = ""
    """Empty for files that are not DICOM."""
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSet:
    """What one revision of a study gave."""

    attempt_id: int
    revision: int
    created_at: datetime
    files: tuple[ResultFile, ...]

    @property
    def folder(self) -> Path:
        """Where the files lie together."""
        return self.files[0].path.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Objects that fill a role together."""

    kinds: tuple[str, ...]
    """Of `ResultFile`."""
    sop_class_uid: str = ""
    """Only those of this class; empty: of any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What objects are to a destination, for instance its report."""

    name: str
    alternatives: tuple[Alternative, ...]
    """Best first; the next is sent only when the destination declines the one before."""
    covered_by: str = ""
    """Name of another role that makes up for this one: both may be sent, this one may be declined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Who is sent a result, and what of it."""

    name: str
    """Of the peer in the configuration."""
    roles: tuple[Role, ...] = ()
    """Empty: every DICOM object of the result, none in place of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAnswer:
    """How a destination answered the offer of a SOP class in the negotiation of an association (PS3.8 9.3.3.2)."""

    sop_class_uid: str
    transfer_syntax_uid: str
    """What objects of the class are sent in; empty when it refused the class."""
    refusal: str
    """Why it refused, in words; empty when it accepted."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """One result object that is to be sent to one destination now."""

    delivery_id: int
    study_instance_uid: str
    destination: str
    """Name of the peer in the configuration."""
    file: ResultFile
    tries: int
    created_at: datetime
    """When the result was made: what gives up counts from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery as people see it."""

    destination: str
    revision: int
    """Of the result that the object belongs to."""
    role: str
    """report, segmentations, pdf, capture, presentation_state or key_objects."""
    rank: int
    """0 is what the destination prefers; a higher one is sent in its place when it declines."""
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    state: str
    """waiting, held, delivered, declined, failed, superseded."""
    tries: int
    next_try_at: datetime | None
    last_status: str
    """DICOM status or error of the last try, in words; empty before the first."""
    commitment: DeliveryCommitment | None = None
    """Whether the destination keeps the object; None where it is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One step in the life of a study."""

    at: datetime
    event: Event
    from_state: State | None
    to_state: State
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPatient:
    """A patient whom instances of a study name."""

    number: int
    """From 1, in the order in which the first instance of each came; what `study release` takes. It stays theirs."""
    patient: PatientKey
    demographics: Demographics
    instance_count: int
    is_of_study: bool
    """Whether the study stands under this patient; the instances of the others are kept, not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two studies that should be of one person, and what speaks against it."""

    study_instance_uid: str
    said: Demographics
    other_study_instance_uid: str
    other_said: Demographics
    attributes: tuple[str, ...]
    """Of birth date, sex and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """A study as people see it."""

    study_instance_uid: str
    patient: PatientKey
    accession_number: str
    description: str
    acquired_at: datetime | None
    """By the clock of its scanner; as if that went by UTC where it says no offset."""
    state: State
    state_since: datetime
    reason: str
    """Of the last step, in plain words."""
    revision: int
    instance_count: int
    series_count: int
    last_instance_at: datetime
    conflict_count: int = 0
    """Instances that are kept and not used: other bytes under a known UID, or another patient."""
    has_identity_conflict: bool = False
    """Instances of another patient came under this Study Instance UID, and no operator decided yet."""
    demographics: Demographics = field(default_factory=lambda: Demographics(patient_name="", birth_date="", sex=""))
    patients: tuple[NamedPatient, ...] = field(default=())
    """Whom the instances name; more than one in a study that is or was held."""
    history: tuple[HistoryEntry, ...] = field(default=())
    deliveries: tuple[DeliveryView, ...] = field(default=())
    result: ResultSet | None = None
    """The newest one; none that was made of images of another patient, as was decided later."""
    sent_result: ResultSet | None = None
    """The newest one of which some destination has something; a newer result says that it takes its place."""
    origin: str = "received"
    """received; fetching or fetched when it is here only to be compared with."""
    prior_fetches: tuple[PriorFetchView, ...] = field(default=())
    """What each PACS was asked for, for this revision."""
    batch: int | None = None
    """Number of the batch that is the reason why the study is analysed; None for a study that came by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last sign of life of a process."""

    process: str
    """listen, work or web."""
    pid: int
    at: datetime
    info: str
    machine: str = ""
    """Where it runs, on shared storage; else empty."""
    needs_restart: tuple[str, ...] = ()
    """Keys of the configuration that changed since it started and that it takes up at its next start."""

    @property
    def words(self) -> str:
        """`listen`, or `listen on ct-node-2`."""
        return f"{self.process} on {self.machine}" if self.machine else self.process
