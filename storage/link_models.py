"""Tables of what administrators say about who is who; rows are only added, and marked when they are undone."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant
from storage.models import Base


class ForeignPatient(Base):
    """What an instance says of patient and study that contradicts its study, beside the patient key in its own row."""

    __tablename__ = "foreign_patient"

    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), primary_key=True, autoincrement=False)
    patient_name: Mapped[str] = mapped_column(Text)
    birth_date: Mapped[str] = mapped_column(Text)
    sex: Mapped[str] = mapped_column(Text)
    accession_number: Mapped[str] = mapped_column(Text, server_default=text("''"))
    description: Mapped[str] = mapped_column(Text, server_default=text("''"))
    """Of the study."""


class PatientMerge(Base):
    """Two patients that are one person."""

    __tablename__ = "patient_merge"
    __table_args__ = (Index(None, "one_key"), Index(None, "other_key"))

    id: Mapped[int] = mapped_column(primary_key=True)
    one_key: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    other_key: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    although_contradicting: Mapped[bool] = mapped_column(server_default=false())
    made_by: Mapped[str] = mapped_column(Text)
    """Operator, as the operating system calls them."""
    made_at: Mapped[datetime] = mapped_column(UtcInstant)
    undone_by: Mapped[str | None] = mapped_column(Text)
    undone_at: Mapped[datetime | None] = mapped_column(UtcInstant)


class StudyAssignment(Base):
    """A study that belongs to another patient than its images name, or to the same one although something contradicts."""

    __tablename__ = "study_assignment"
    __table_args__ = (Index(None, "study_id"), Index(None, "patient_key"))

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    patient_key: Mapped[int] = mapped_column(ForeignKey("patient.id"))
    although_contradicting: Mapped[bool] = mapped_column(server_default=false())
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(UtcInstant)
    undone_by: Mapped[str | None] = mapped_column(Text)
    undone_at: Mapped[datetime | None] = mapped_column(UtcInstant)


class WaivedContradiction(Base):
    """Two studies that contradicted each other when a merge or an assignment was made all the same."""

    __tablename__ = "waived_contradiction"
    __table_args__ = (Index(None, "merge_id"), Index(None, "assignment_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    merge_id: Mapped[int | None] = mapped_column(ForeignKey("patient_merge.id"))
    """None where an assignment was made; one of the two is there."""
    assignment_id: Mapped[int | None] = mapped_column(ForeignKey("study_assignment.id"))
    patient_name: Mapped[str] = mapped_column(Text)
    birth_date: Mapped[str] = mapped_column(Text)
    sex: Mapped[str] = mapped_column(Text)
    other_patient_name: Mapped[str] = mapped_column(Text)
    other_birth_date: Mapped[str] = mapped_column(Text)
    other_sex: Mapped[str] = mapped_column(Text)
    attributes: Mapped[str] = mapped_column(Text)
    """Of birth date, sex and name those that contradicted, with commas between."""
