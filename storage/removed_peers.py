"""Ends what waits for peers that the configuration names no more, or no longer for that."""

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, and_, select, update

from storage import commitment_steps
from storage.commitment_models import Commitment
from storage.commitment_records import CommitmentState
from storage.database import AnySelect, reading, writing
from storage.deliveries import SENT_BY_NOW
from storage.fetch_models import FoundPrior, PriorFetch
from storage.fetch_records import FetchState, FoundState
from storage.life import Standing, move, standing_by_id
from storage.lifecycle import Event
from storage.models import Delivery, Progress
from storage.newest_result import progress_of

_AT_MOST = 500
"""Of one look: whoever else writes to the index waits for it."""
_RECEIVES_NONE = "receives no results any more"
_SENT_BY_HAND = "`dicom-node study resend` sends it to those who do"
_ASKED_NO_MORE = "is asked for earlier studies no more"


class RemovedPeers:
    """What is open for peers that are gone; each method is one transaction, and keeps what is younger than asked for."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine."""
        self._engine = engine
        self._now = now

    def end_deliveries(self, destinations: Collection[str], *, made_before: datetime) -> int:
        """Send no more what waits for others than these; returns how many studies waited.

        A study that somebody has is delivered then; one that nobody has could not be delivered.
        """
        waiting = _waiting_for_others(destinations, made_before)
        if not self._is_any(waiting):
            return 0
        with writing(self._engine) as connection:
            rows = connection.execute(waiting.limit(_AT_MOST)).all()
            for row in rows:
                _end_deliveries(connection, standing_by_id(connection, row.study_id), row.destination, at=self._now())
            return len({row.study_id for row in rows})

    def end_commitments(self, destinations: Collection[str], *, planned_before: datetime) -> None:
        """Say of what others than these were to keep that it was never confirmed."""
        others = (
            select(Commitment.destination)
            .where(
                Commitment.state != CommitmentState.SETTLED,
                Commitment.destination.not_in(destinations),
                Commitment.planned_at < planned_before,
            )
            .distinct()
        )
        if not self._is_any(others):
            return
        with writing(self._engine) as connection:
            for name in list(connection.execute(others).scalars()):
                commitment_steps.give_up_waiting(connection, name, planned_before=planned_before, at=self._now())

    def end_searches(self, archives: Collection[str], *, planned_before: datetime) -> None:
        """End searches for earlier studies at others than these, and what they wanted to be done yet."""
        of_others = and_(PriorFetch.peer.not_in(archives), PriorFetch.planned_at < planned_before)
        is_open = and_(of_others, PriorFetch.settled_at.is_(None))
        wants_rerun = and_(of_others, PriorFetch.rerun_due.is_(True))
        if not self._is_any(select(PriorFetch.id).where(is_open | wants_rerun)):
            return
        with writing(self._engine) as connection:
            _end_searches(connection, is_open, at=self._now())
            connection.execute(update(PriorFetch).where(wants_rerun).values(rerun_due=False))

    def _is_any(self, wanted: AnySelect) -> bool:
        """Whether there is something to do; the look takes nobody's turn to write."""
        with reading(self._engine) as connection:
            return connection.execute(wanted.limit(1)).first() is not None


def _waiting_for_others(destinations: Collection[str], made_before: datetime) -> AnySelect:
    return (
        select(Delivery.study_id, Delivery.destination)
        .where(
            Delivery.state == Progress.WAITING,
            Delivery.destination.not_in(destinations),
            Delivery.created_at < made_before,
        )
        .distinct()
        .order_by(Delivery.study_id, Delivery.destination)
    )


def _end_deliveries(connection: Connection, study: Standing, destination: str, *, at: datetime) -> None:
    """End what waits of a study for a destination; the study goes on where nothing else waits."""
    mine = (Delivery.study_id == study.study_id, Delivery.destination == destination)
    waiting = select(Delivery.id).where(*mine, Delivery.state == Progress.WAITING)
    ids = list(connection.execute(waiting).scalars())
    why = f"{destination} {_RECEIVES_NONE}"
    ended = {"state": Progress.SUPERSEDED, "settled_at": at}
    connection.execute(update(Delivery).where(*mine, Delivery.state == Progress.HELD).values(**ended))
    those = update(Delivery).where(Delivery.id.in_(ids))
    connection.execute(those.values(**ended, last_status=f"not sent: {why}"))
    progress = progress_of(connection, study.study_id)
    if study.state not in SENT_BY_NOW or Progress.WAITING in progress:
        return
    if Progress.DELIVERED in progress:
        move(connection, study, Event.ALL_DELIVERED, why=f"the rest was for a destination that is gone: {why}", at=at)
        return
    connection.execute(those.values(state=Progress.FAILED))
    move(connection, study, Event.DELIVERY_GAVE_UP, why=f"nobody has the result: {why}; {_SENT_BY_HAND}", at=at)


def _end_searches(connection: Connection, is_open: ColumnElement[bool], *, at: datetime) -> None:
    ids = list(connection.execute(select(PriorFetch.id).where(is_open)).scalars())
    under_way = (FoundPrior.fetch_id.in_(ids), FoundPrior.state == FoundState.FETCHING)
    words = f"the PACS {_ASKED_NO_MORE}"
    connection.execute(update(FoundPrior).where(*under_way).values(state=FoundState.TIMED_OUT, words=words))
    ended = {"state": FetchState.TIMED_OUT, "settled_at": at, "words": PriorFetch.peer + f": {words}"}
    connection.execute(update(PriorFetch).where(PriorFetch.id.in_(ids)).values(ended))
