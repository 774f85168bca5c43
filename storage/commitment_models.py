"""Tables of storage commitment, and of destinations that cannot be reached."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant, word_column
from storage.commitment_records import CommitmentState, InquiryState, Keeping
from storage.models import Aet, Base, Uid


class Commitment(Base):
    """The question whether a destination keeps the objects of a result that it was sent."""

    __tablename__ = "commitment"
    __table_args__ = (UniqueConstraint("result_id", "destination"), Index(None, "state", "destination", "next_try_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("result.id"))
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[CommitmentState] = mapped_column(word_column(CommitmentState))
    tries: Mapped[int]
    """How often the destination took the question and said nothing."""
    failures: Mapped[int]
    """How often in a row it could not be asked."""
    planned_at: Mapped[datetime] = mapped_column(UtcInstant)
    """What is no longer waited for counts from here."""
    requested_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    next_try_at: Mapped[datetime] = mapped_column(UtcInstant)
    words: Mapped[str] = mapped_column(Text)


class CommitmentTransaction(Base):
    """One time that a destination was asked; its report may come at any time after."""

    __tablename__ = "commitment_transaction"
    __table_args__ = (Index(None, "commitment_id"),)

    transaction_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    commitment_id: Mapped[int] = mapped_column(ForeignKey("commitment.id"))
    requested_at: Mapped[datetime] = mapped_column(UtcInstant)
    reported_at: Mapped[datetime | None] = mapped_column(UtcInstant)


class CommitmentObject(Base):
    """Whether the destination keeps one delivered object."""

    __tablename__ = "commitment_object"
    __table_args__ = (Index(None, "commitment_id"), Index(None, "state"))

    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    commitment_id: Mapped[int] = mapped_column(ForeignKey("commitment.id"))
    state: Mapped[Keeping] = mapped_column(word_column(Keeping))
    delivered_at: Mapped[datetime] = mapped_column(UtcInstant)
    """Of the delivery that is asked about; a later one is asked about anew."""
    resends: Mapped[int]
    settled_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    words: Mapped[str] = mapped_column(Text)


class CommitmentInquiry(Base):
    """A caller's question whether we keep what we were sent."""

    __tablename__ = "commitment_inquiry"
    __table_args__ = (UniqueConstraint("calling_aet", "transaction_uid"), Index(None, "state", "next_try_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    calling_aet: Mapped[str] = mapped_column(Aet)
    transaction_uid: Mapped[str] = mapped_column(Uid)
    state: Mapped[InquiryState] = mapped_column(word_column(InquiryState))
    asked_at: Mapped[datetime] = mapped_column(UtcInstant)
    tries: Mapped[int]
    next_try_at: Mapped[datetime] = mapped_column(UtcInstant)


class InquiredObject(Base):
    """One instance that a caller asked for."""

    __tablename__ = "commitment_inquired"
    __table_args__ = (Index(None, "inquiry_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    inquiry_id: Mapped[int] = mapped_column(ForeignKey("commitment_inquiry.id"))
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    sop_instance_uid: Mapped[str] = mapped_column(Uid)
