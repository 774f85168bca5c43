"""Destinations that cannot be reached: all that waits for one of them waits together."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, Text, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant
from storage.database import reading, writing
from storage.models import Base, Delivery, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A destination that could not be reached; until the next try nothing is sent to it."""

    since: datetime
    tries: int
    next_try_at: datetime
    words: str


class DestinationOutage(Base):
    """A destination that could not be reached at the last try."""

    __tablename__ = "destination_outage"

    destination: Mapped[str] = mapped_column(Text, primary_key=True)
    since: Mapped[datetime] = mapped_column(UtcInstant)
    tries: Mapped[int]
    next_try_at: Mapped[datetime] = mapped_column(UtcInstant)
    words: Mapped[str] = mapped_column(Text)


class OutageLedger:
    """Outages of destinations; every method is one transaction, so that a restart goes on where it was."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine."""
        self._engine = engine
        self._now = now

    def of(self, destination: str) -> Outage | None:
        """The outage of a destination; None while it can be reached, as far as is known."""
        with reading(self._engine) as connection:
            return outages(connection).get(destination)

    def note(self, destination: str, words: str, *, next_try_at: datetime) -> None:
        """A try to reach the destination failed; what waits for it says so."""
        at = self._now()
        with writing(self._engine) as connection:
            known = outages(connection).get(destination)
            values = {"tries": known.tries + 1 if known else 1, "next_try_at": next_try_at, "words": words}
            end(connection, [destination])
            since = known.since if known else at
            connection.execute(insert(DestinationOutage).values(destination=destination, since=since, **values))
            waiting = (Delivery.destination == destination, Delivery.state == Progress.WAITING)
            connection.execute(update(Delivery).where(*waiting).values(last_status=words))

    def end(self, destination: str) -> None:
        """The destination was reached."""
        with writing(self._engine) as connection:
            end(connection, [destination])


def outages(connection: Connection) -> dict[str, Outage]:
    """The outages by destination."""
    return {
        row.destination: Outage(since=row.since, tries=row.tries, next_try_at=row.next_try_at, words=row.words)
        for row in connection.execute(select(DestinationOutage))
    }


def end(connection: Connection, destinations: Collection[str]) -> None:
    """Let these destinations be tried at once."""
    connection.execute(delete(DestinationOutage).where(DestinationOutage.destination.in_(destinations)))
