"""Numbers about the index for monitoring: no identifier of a patient or a study is among them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, func, or_, select

from storage.batch_rows import is_of_batch
from storage.database import reading
from storage.delivery_state import has_to_be_sent
from storage.lifecycle import State
from storage.models import Delivery, Instance, Progress, Study
from storage.outages import outages

WAITING_STATES = (State.WAITING_FOR_PRIORS, State.READY, State.PROCESSING, State.PROCESSED, State.SENDING)
"""States that a study leaves by itself, `processed` where something waits to be sent; one that stays is worth a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came from one caller."""

    calling_aet: str
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The newest instance of those that are counted."""

    instance_id: int
    received_at: datetime


NOTHING_COUNTED = Counted(instance_id=0, received_at=datetime(1970, 1, 1, tzinfo=UTC))
"""Before the first instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The index at one moment."""

    waiting_since: dict[State, datetime]
    """Since when the study waits that is in the state for longest; states without a study are left out."""
    last_received_at: datetime | None
    """None before the first object."""
    deliveries: dict[tuple[str, Progress], int]
    """By destination and state."""
    down_since: dict[str, datetime]
    """Destinations that cannot be reached."""


def figures(engine: Engine) -> Figures:
    """Count.

    Raises:
        StorageError: The index cannot be read.
    """
    with reading(engine) as connection:
        return Figures(
            waiting_since=_waiting_since(connection),
            last_received_at=connection.execute(select(func.max(Study.last_instance_at))).scalar_one(),
            deliveries=_deliveries(connection),
            down_since={name: outage.since for name, outage in outages(connection).items()},
        )


def newest_instance(engine: Engine) -> Counted:
    """The newest instance, to count from; `NOTHING_COUNTED` where there is none."""
    with reading(engine) as connection:
        return _newest(connection)


def received_since(engine: Engine, counted: Counted) -> tuple[Counted, tuple[Received, ...]]:
    """What came after an instance, by caller, and the newest now.

    Where that instance is gone its number, and those of others that are gone, may be given anew (sqlite.org/autoinc.html).
    Then everything counts that stands behind the last one that was received no later.
    """
    with reading(engine) as connection:
        rows = connection.execute(
            select(
                Instance.calling_aet,
                func.count().label("objects"),
                func.sum(Instance.size_bytes).label("size_bytes"),
            )
            .where(Instance.id > _last_counted(connection, counted))
            .group_by(Instance.calling_aet)
        ).all()
        newest = _newest(connection)
    return newest, tuple(
        Received(calling_aet=row.calling_aet, objects=row.objects, size_bytes=int(row.size_bytes)) for row in rows
    )


def _newest(connection: Connection) -> Counted:
    wanted = select(Instance.id, Instance.received_at).order_by(Instance.id.desc()).limit(1)
    row = connection.execute(wanted).one_or_none()
    return Counted(instance_id=row.id, received_at=row.received_at) if row else NOTHING_COUNTED


def _last_counted(connection: Connection, counted: Counted) -> int:
    """Number of the instance behind which nothing was counted yet; 0 where it was nothing at all."""
    itself = select(Instance.id).where(Instance.id == counted.instance_id, Instance.received_at == counted.received_at)
    if connection.execute(itself).scalar_one_or_none():
        return counted.instance_id
    # From the newest back, so that no more is read than came.
    before = select(Instance.id).where(Instance.received_at <= counted.received_at).order_by(Instance.id.desc())
    return connection.execute(before.limit(1)).scalar_one_or_none() or 0


def _waiting_since(connection: Connection) -> dict[State, datetime]:
    goes_on = or_(Study.state != State.PROCESSED, has_to_be_sent())
    rows = connection.execute(
        select(Study.state, func.min(Study.state_since).label("since"))
        .where(Study.state.in_(WAITING_STATES), goes_on, ~is_of_batch())
        .group_by(Study.state)
    )
    return {row.state: row.since for row in rows}


def _deliveries(connection: Connection) -> dict[tuple[str, Progress], int]:
    rows = connection.execute(
        select(Delivery.destination, Delivery.state, func.count().label("objects")).group_by(
            Delivery.state, Delivery.destination
        )
    )
    return {(row.destination, row.state): row.objects for row in rows}
