"""Tables of the index."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Double, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.columns import UtcInstant, word_column
from storage.lifecycle import Event, State

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that a migration can change it (Alembic, "The Importance of Naming Constraints")."""

Uid = String(64)
"""PS3.5 9.1: at most 64 characters."""
Sha256 = String(64)
Aet = String(16)


class Use(StrEnum):
    """Whether the pipeline may read an instance."""

    USED = "used"
    OTHER_BYTES = "other_bytes"
    OTHER_PATIENT = "other_patient"
    OWN_RESULT = "own_result"


class Origin(StrEnum):
    """Why a study is here."""

    RECEIVED = "received"
    """It was sent to the node to be analysed."""
    FETCHING = "fetching"
    """It is fetched as an earlier study and not here as a whole."""
    FETCHED = "fetched"
    """It was fetched as an earlier study: compared with, not analysed."""


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED_FOR_NOW = "failed_for_now"
    FAILED = "failed"
    LEASE_LOST = "lease_lost"
    GIVEN_BACK = "given_back"
    DISCARDED = "discarded"


class Progress(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    HELD = "held"
    """Stands by: sent only when the destination declines what is better."""
    DELIVERED = "delivered"
    DECLINED = "declined"
    """The destination takes no objects of this class; another object makes up for it."""
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Base(DeclarativeBase):
    """Tables of the index; instants are `UtcInstant`."""

    metadata = MetaData(naming_convention=NAMES)


class Patient(Base):
    """A patient: the ID counts only together with its issuer (PS3.3 C.7.1.1)."""

    __tablename__ = "patient"
    __table_args__ = (UniqueConstraint("patient_id", "issuer"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(Text)


class Study(Base):
    """A study, with what its sender said about the patient and where it stands."""

    __tablename__ = "study"
    __table_args__ = (
        Index(None, "patient_key", "ct_acquired_at"),
        Index(None, "state", "state_since"),
        Index(None, "last_instance_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(Uid, unique=True)
    patient_key: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    patient_name: Mapped[str] = mapped_column(Text)
    birth_date: Mapped[str] = mapped_column(Text)
    sex: Mapped[str] = mapped_column(Text)
    accession_number: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    acquired_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    ct_acquired_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    """Of the earliest CT instance; a study without one is nobody's prior."""
    acquired_offset_minutes: Mapped[int] = mapped_column(server_default="0")
    """How far the clock of the scanner was ahead of UTC, as the earliest CT instance says it; 0 where it does not."""
    state: Mapped[State] = mapped_column(word_column(State))
    state_since: Mapped[datetime] = mapped_column(UtcInstant)
    reason: Mapped[str] = mapped_column(Text)
    revision: Mapped[int]
    has_late_instances: Mapped[bool] = mapped_column(server_default=false())
    """Instances came while an attempt ran; the study reopens when it ends."""
    has_identity_conflict: Mapped[bool] = mapped_column(server_default=false())
    opened_at: Mapped[datetime] = mapped_column(UtcInstant)
    last_instance_at: Mapped[datetime] = mapped_column(UtcInstant)
    instance_count: Mapped[int]
    conflict_count: Mapped[int]
    origin: Mapped[Origin] = mapped_column(word_column(Origin), server_default=Origin.RECEIVED)


class Series(Base):
    """A series of a study; the same Series Instance UID in two studies is two series."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    series_instance_uid: Mapped[str] = mapped_column(Uid)
    modality: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    body_part: Mapped[str] = mapped_column(Text)


class Instance(Base):
    """A stored instance; of several copies with other bytes, at most one is used, whatever its number."""

    __tablename__ = "instance"
    __table_args__ = (UniqueConstraint("series_id", "sop_instance_uid", "copy"), Index(None, "sop_instance_uid"))

    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    sop_instance_uid: Mapped[str] = mapped_column(Uid)
    copy: Mapped[int]
    use: Mapped[Use] = mapped_column(word_column(Use))
    patient_key: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    instance_number: Mapped[int | None]
    acquired_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    sha256: Mapped[str] = mapped_column(Sha256)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    relative_path: Mapped[str] = mapped_column(Text)
    calling_aet: Mapped[str] = mapped_column(Aet)
    called_aet: Mapped[str] = mapped_column(Aet)
    received_at: Mapped[datetime] = mapped_column(UtcInstant)
    slice_position_mm: Mapped[float | None] = mapped_column(Double)
    """Along the normal of the slice; only of axial slices."""


class StudyAssociation(Base):
    """An association that carried instances of a study; open until it has an end."""

    __tablename__ = "study_association"
    __table_args__ = (Index(None, "study_id"), Index(None, "ended_at"))

    association: Mapped[str] = mapped_column(String(32), primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    calling_aet: Mapped[str] = mapped_column(Aet)
    opened_at: Mapped[datetime] = mapped_column(UtcInstant)
    """When it carried the first instance of the study."""
    seen_at: Mapped[datetime] = mapped_column(UtcInstant)
    """When the listener last said that it is open."""
    ended_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    was_released: Mapped[bool] = mapped_column(server_default=false())


class Notice(Base):
    """What a source said that a study consists of (PS3.4 R, Instance Availability Notification; PS3.4 F, MPPS)."""

    __tablename__ = "notice"
    __table_args__ = (Index(None, "study_instance_uid"), Index(None, "at"))

    notice_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    is_final: Mapped[bool]
    sop_instance_uids: Mapped[str] = mapped_column(Text)
    """With spaces between."""
    calling_aet: Mapped[str] = mapped_column(Aet)
    at: Mapped[datetime] = mapped_column(UtcInstant)


class Attempt(Base):
    """One try of one worker; open until it has an end, and at most one of a study is open."""

    __tablename__ = "attempt"
    __table_args__ = (Index(None, "study_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    revision: Mapped[int]
    number: Mapped[int]
    owner: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcInstant)
    lease_until: Mapped[datetime] = mapped_column(UtcInstant)
    ended_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    outcome: Mapped[Outcome | None] = mapped_column(word_column(Outcome))
    reason: Mapped[str] = mapped_column(Text)


ONE_OPEN_ATTEMPT = Index(
    "uq_attempt_open",
    Attempt.study_id,
    unique=True,
    sqlite_where=Attempt.ended_at.is_(None),
    postgresql_where=Attempt.ended_at.is_(None),
)
"""Makes two open attempts of a study impossible, whatever a worker does."""


class Result(Base):
    """What a successful attempt made; one for each revision of a study."""

    __tablename__ = "result"
    __table_args__ = (UniqueConstraint("study_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempt.id"), unique=True)
    revision: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcInstant)
    is_of_other_patient: Mapped[bool] = mapped_column(server_default=false())
    """Images went into it that are another patient's than the study's, as an operator decided later."""


class ResultObject(Base):
    """One file of a result."""

    __tablename__ = "result_file"
    __table_args__ = (Index(None, "result_id"), Index(None, "sop_instance_uid"))

    id: Mapped[int] = mapped_column(primary_key=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("result.id"))
    kind: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Sha256)
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    sop_instance_uid: Mapped[str] = mapped_column(Uid)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)


class Delivery(Base):
    """One result object on its way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("result_file_id", "destination"),
        Index(None, "state", "destination", "next_try_at"),
        Index(None, "study_id", "state"),
        Index(None, "destination", "settled_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    result_file_id: Mapped[int] = mapped_column(ForeignKey("result_file.id"))
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[Progress] = mapped_column(word_column(Progress))
    tries: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcInstant)
    next_try_at: Mapped[datetime] = mapped_column(UtcInstant)
    settled_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    last_status: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text, server_default=text("''"))
    """What the object is to the destination, for instance its report."""
    rank: Mapped[int] = mapped_column(server_default="0")
    """Of the objects of one role the lowest rank is sent; the next is held until that is declined."""
    may_be_declined: Mapped[bool] = mapped_column(server_default=false())
    """Another role makes up for this one."""


class NegotiatedClass(Base):
    """How a destination answered the newest offer of a SOP class."""

    __tablename__ = "negotiated_class"

    destination: Mapped[str] = mapped_column(Text, primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    """What its objects are sent in; empty when the class was refused."""
    refusal: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcInstant)


class History(Base):
    """One step in the life of a study; rows are only ever added."""

    __tablename__ = "history"
    __table_args__ = (Index(None, "study_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    at: Mapped[datetime] = mapped_column(UtcInstant)
    event: Mapped[Event] = mapped_column(word_column(Event))
    from_state: Mapped[State | None] = mapped_column(word_column(State))
    to_state: Mapped[State] = mapped_column(word_column(State))
    why: Mapped[str] = mapped_column(Text)


class ProcessBeat(Base):
    """The last sign of life of a process."""

    __tablename__ = "heartbeat"

    process: Mapped[str] = mapped_column(Text, primary_key=True)
    machine: Mapped[str] = mapped_column(Text, primary_key=True, server_default=text("''"))
    """Empty where no other machine shares the data folder."""
    pid: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcInstant)
    info: Mapped[str] = mapped_column(Text)
    needs_restart: Mapped[str] = mapped_column(Text, server_default=text("''"))
    """Keys of the configuration that changed since it started, one a line."""
