"""Tables of the runs over studies of an archive."""

from datetime import datetime

from sqlalchemy import Double, ForeignKey, Index, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from storage.batch_records import BatchState, BatchStudyState
from storage.columns import UtcInstant, word_column
from storage.models import Base, Uid


class Batch(Base):
    """A run over many studies of one PACS."""

    __tablename__ = "batch"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    peer: Mapped[str] = mapped_column(Text)
    """Name in the configuration."""
    state: Mapped[BatchState] = mapped_column(word_column(BatchState))
    created_at: Mapped[datetime] = mapped_column(UtcInstant)
    delivers: Mapped[bool]
    in_flight: Mapped[int]
    per_hour: Mapped[int]
    hours: Mapped[str] = mapped_column(Text)
    """HH:MM-HH:MM in the time zone of the machine; empty: always."""
    next_try_at: Mapped[datetime] = mapped_column(UtcInstant)
    """The PACS is left alone until then."""
    failures: Mapped[int]
    """Retrievals that failed since one succeeded."""
    words: Mapped[str] = mapped_column(Text)


class BatchStudy(Base):
    """A study of a run."""

    __tablename__ = "batch_study"
    __table_args__ = (
        UniqueConstraint("batch_id", "study_instance_uid"),
        Index(None, "study_instance_uid"),
        Index(None, "batch_id", "state", "next_try_at"),
        Index(None, "batch_id", "asked_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    study_instance_uid: Mapped[str] = mapped_column(Uid)
    study_date: Mapped[str] = mapped_column(Text)
    """YYYYMMDD as the PACS said it; empty where it said none."""
    state: Mapped[BatchStudyState] = mapped_column(word_column(BatchStudyState))
    is_own: Mapped[bool] = mapped_column(server_default=false())
    """The run is the reason why the study is analysed."""
    tries: Mapped[int]
    next_try_at: Mapped[datetime] = mapped_column(UtcInstant)
    asked_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    ended_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    words: Mapped[str] = mapped_column(Text)


class BatchFinding(Base):
    """What was found in a study of a run; it stays when the study is deleted."""

    __tablename__ = "batch_finding"

    batch_study_id: Mapped[int] = mapped_column(ForeignKey("batch_study.id"), primary_key=True, autoincrement=False)
    revision: Mapped[int]
    images: Mapped[int]
    lesions: Mapped[int]
    priors_used: Mapped[int]
    patient_score: Mapped[float] = mapped_column(Double)
    involvement_percent: Mapped[float] = mapped_column(Double)
    lesion_volume_ml: Mapped[float] = mapped_column(Double)
    stage: Mapped[str] = mapped_column(Text)
    algorithm: Mapped[str] = mapped_column(Text)
    algorithm_version: Mapped[str] = mapped_column(Text)
    weights_sha256: Mapped[str] = mapped_column(Text)
    qualifications: Mapped[str] = mapped_column(Text)
