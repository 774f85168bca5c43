"""Table of what the rules of a site decided."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, true
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant
from storage.models import Base


class Decision(Base):
    """What the rules decided about one run of a study; rows are kept, at most one of a study holds."""

    __tablename__ = "rule_decision"
    __table_args__ = (Index(None, "study_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    revision: Mapped[int]
    at: Mapped[datetime] = mapped_column(UtcInstant)
    holds: Mapped[bool] = mapped_column(server_default=true())
    """Until the study runs anew."""
    rule: Mapped[str] = mapped_column(Text)
    rule_text: Mapped[str] = mapped_column(Text)
    runs: Mapped[bool]
    urgency: Mapped[int]
    """1 urgent, 0 normal, -1 low."""
    destinations: Mapped[str] = mapped_column(Text)
    """As JSON: a list of names with their results; empty: as the peers say."""
    why: Mapped[str] = mapped_column(Text)


ONE_DECISION = Index(
    "uq_rule_decision_holds",
    Decision.study_id,
    unique=True,
    sqlite_where=Decision.holds.is_(True),
    postgresql_where=Decision.holds.is_(True),
)
"""Makes two decisions at a time about a study impossible, whoever decides."""
