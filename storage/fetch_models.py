"""Tables of the search for earlier studies at a PACS."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant, word_column
from storage.fetch_records import FetchState, FoundState
from storage.models import Base, Uid


class PriorFetch(Base):
    """The search for the earlier studies of one revision of a study at one PACS."""

    __tablename__ = "prior_fetch"
    __table_args__ = (UniqueConstraint("study_id", "revision", "peer"), Index(None, "state", "peer", "next_try_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    revision: Mapped[int]
    peer: Mapped[str] = mapped_column(Text)
    """Name in the configuration."""
    state: Mapped[FetchState] = mapped_column(word_column(FetchState))
    tries: Mapped[int]
    planned_at: Mapped[datetime] = mapped_column(UtcInstant)
    next_try_at: Mapped[datetime] = mapped_column(UtcInstant)
    settled_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    words: Mapped[str] = mapped_column(Text)
    rerun_due: Mapped[bool] = mapped_column(server_default=false())
    """A study came too late to be compared with, and the current one is to be run again."""


class FoundPrior(Base):
    """An earlier study that the PACS named, and what became of it."""

    __tablename__ = "found_prior"
    __table_args__ = (UniqueConstraint("fetch_id", "study_instance_uid"), Index(None, "study_instance_uid"))

    id: Mapped[int] = mapped_column(primary_key=True)
    fetch_id: Mapped[int] = mapped_column(ForeignKey("prior_fetch.id"))
    study_instance_uid: Mapped[str] = mapped_column(Uid)
    study_date: Mapped[str] = mapped_column(Text)
    """YYYYMMDD as the PACS said it; empty where it said none."""
    state: Mapped[FoundState] = mapped_column(word_column(FoundState))
    words: Mapped[str] = mapped_column(Text)
    instance_count: Mapped[int]
    """Instances fetched."""
    asked_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    """When its images were last asked for."""
