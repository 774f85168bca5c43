"""Callers that the listener refused: who they are, so that an administrator can let them in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, Integer, Text, UniqueConstraint, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant
from storage.database import AnyRow, reading, writing
from storage.models import Base

MAXIMUM_CALLERS = 200
"""Those that called last are kept: who calls under ever new titles must not fill the index."""


class RefusedCallerRow(Base):
    """One caller that was refused for one reason."""

    __tablename__ = "refused_caller"
    __table_args__ = (UniqueConstraint("calling_aet", "called_aet", "address", "reason"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    calling_aet: Mapped[str] = mapped_column(Text)
    called_aet: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    count: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[datetime] = mapped_column(UtcInstant)
    last_at: Mapped[datetime] = mapped_column(UtcInstant)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCaller:
    """One caller that was refused for one reason."""

    calling_aet: str
    called_aet: str
    address: str
    reason: str
    """Name of the rejection."""
    count: int
    first_at: datetime
    last_at: datetime


class RefusedCallers:
    """The refused callers in the index; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        """Use the database of the engine."""
        self._engine = engine

    def add(self, callers: Sequence[RefusedCaller]) -> None:
        """Count callers on; those that called last stay, MAXIMUM_CALLERS of them."""
        if not callers:
            return
        with writing(self._engine) as connection:
            for caller in callers:
                same = _is_same(caller)
                changes = {"count": RefusedCallerRow.count + caller.count, "last_at": caller.last_at}
                if not connection.execute(update(RefusedCallerRow).where(*same).values(**changes)).rowcount:
                    values = {name: getattr(caller, name) for name in RefusedCaller.__slots__}
                    connection.execute(insert(RefusedCallerRow).values(**values))
            order = (RefusedCallerRow.last_at.desc(), RefusedCallerRow.id.desc())
            newest = select(RefusedCallerRow.id).order_by(*order).limit(MAXIMUM_CALLERS)
            connection.execute(delete(RefusedCallerRow).where(RefusedCallerRow.id.not_in(newest)))

    def all(self) -> tuple[RefusedCaller, ...]:
        """Every one that is kept, the one that called last first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(RefusedCallerRow.__table__).order_by(RefusedCallerRow.last_at.desc()))
            return tuple(_view(row) for row in rows)

    def forget(self, calling_aet: str) -> int:
        """Forget a caller that may call now, or that is of no interest; returns how many rows that were."""
        with writing(self._engine) as connection:
            done = connection.execute(delete(RefusedCallerRow).where(RefusedCallerRow.calling_aet == calling_aet))
            return int(done.rowcount)


def _is_same(caller: RefusedCaller) -> tuple[ColumnElement[bool], ...]:
    row = RefusedCallerRow
    return (
        row.calling_aet == caller.calling_aet,
        row.called_aet == caller.called_aet,
        row.address == caller.address,
        row.reason == caller.reason,
    )


def _view(row: AnyRow) -> RefusedCaller:
    return RefusedCaller(**{name: getattr(row, name) for name in RefusedCaller.__slots__})
