"""Who was refused an association lately: what an administrator looks at who wonders why nothing arrives."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, Engine, RowMapping, Text, delete, insert, select, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant
from storage.database import reading, writing
from storage.models import Base

KEPT = 200
"""Distinct refusals that are kept, the newest."""
KEPT_OF_AN_ADDRESS = 25
"""Who calls from one address under ever new titles pushes nobody else out."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RefusalKey:
    """What makes two refusals the same."""

    calling_aet: str
    called_aet: str
    address: str
    reason: str
    """A word for why, as the listener names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCaller:
    """A caller that was refused, once or many times."""

    key: RefusalKey
    first_at: datetime
    last_at: datetime
    count: int

    def joined(self, other: "RefusedCaller") -> "RefusedCaller":
        """This one and another one of the same key as one."""
        return RefusedCaller(
            key=self.key,
            first_at=min(self.first_at, other.first_at),
            last_at=max(self.last_at, other.last_at),
            count=self.count + other.count,
        )


class RefusedCallerRow(Base):
    """A caller that was refused."""

    __tablename__ = "refused_caller"

    calling_aet: Mapped[str] = mapped_column(Text, primary_key=True)
    called_aet: Mapped[str] = mapped_column(Text, primary_key=True)
    address: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    first_at: Mapped[datetime] = mapped_column(UtcInstant)
    last_at: Mapped[datetime] = mapped_column(UtcInstant)
    count: Mapped[int] = mapped_column(BigInteger)


class RefusedCallers:
    """Refused callers in the index; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        """Use the database of the engine."""
        self._engine = engine

    def newest(self) -> tuple[RefusedCaller, ...]:
        """Who was refused, the newest first."""
        with reading(self._engine) as connection:
            return _newest_first(_all(connection))

    def add(self, refused: Iterable[RefusedCaller]) -> None:
        """Join these with what is known; the newest are kept."""
        with writing(self._engine) as connection:
            known = {one.key: one for one in _all(connection)}
            joined = joined_with(known, refused)
            kept = {one.key: one for one in newest_of(joined.values())}
            gone = [key for key, one in known.items() if kept.get(key) != one]
            new = [one for key, one in kept.items() if known.get(key) != one]
            _delete(connection, gone)
            if new:
                connection.execute(insert(RefusedCallerRow), [_values(one) for one in new])

    def forget(self, keys: Iterable[RefusalKey]) -> None:
        """An administrator dealt with these."""
        with writing(self._engine) as connection:
            _delete(connection, list(keys))


def joined_with(
    known: dict[RefusalKey, RefusedCaller], refused: Iterable[RefusedCaller]
) -> dict[RefusalKey, RefusedCaller]:
    """Both together, each key once."""
    joined = dict(known)
    for one in refused:
        joined[one.key] = joined[one.key].joined(one) if one.key in joined else one
    return joined


def newest_of(refused: Iterable[RefusedCaller]) -> tuple[RefusedCaller, ...]:
    """Those that are kept, the newest first: not more than KEPT, and of one address not more than KEPT_OF_AN_ADDRESS."""
    of_address: Counter[str] = Counter()
    kept: list[RefusedCaller] = []
    for one in _newest_first(refused):
        of_address[one.key.address] += 1
        if of_address[one.key.address] <= KEPT_OF_AN_ADDRESS:
            kept.append(one)
    return tuple(kept[:KEPT])


def _newest_first(refused: Iterable[RefusedCaller]) -> tuple[RefusedCaller, ...]:
    in_order = sorted(refused, key=lambda one: one.key)
    return tuple(sorted(in_order, key=lambda one: one.last_at, reverse=True))


def _all(connection: Connection) -> tuple[RefusedCaller, ...]:
    # A row is a tuple with a method named count: the number of refusals has to be asked for by its key.
    rows = connection.execute(select(RefusedCallerRow)).mappings()
    return tuple(_refused_caller(row) for row in rows)


def _refused_caller(row: RowMapping) -> RefusedCaller:
    key = RefusalKey(
        calling_aet=row["calling_aet"], called_aet=row["called_aet"], address=row["address"], reason=row["reason"]
    )
    return RefusedCaller(key=key, first_at=row["first_at"], last_at=row["last_at"], count=row["count"])


def _delete(connection: Connection, keys: list[RefusalKey]) -> None:
    if not keys:
        return
    row = RefusedCallerRow
    named = tuple_(row.calling_aet, row.called_aet, row.address, row.reason)
    values = [(key.calling_aet, key.called_aet, key.address, key.reason) for key in keys]
    connection.execute(delete(row).where(named.in_(values)))


def _values(one: RefusedCaller) -> dict[str, object]:
    key = one.key
    return {
        "calling_aet": key.calling_aet,
        "called_aet": key.called_aet,
        "address": key.address,
        "reason": key.reason,
        "first_at": one.first_at,
        "last_at": one.last_at,
        "count": one.count,
    }
