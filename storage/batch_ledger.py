"""One object for the runs over studies of an archive: what they are to fetch, and how far they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from statistics import fmean

from sqlalchemy import ColumnElement, Connection, Engine, exists, func, insert, select, update

from storage.batch_models import Batch, BatchFinding, BatchStudy
from storage.batch_records import UNENDED, BatchFindings, BatchLine, BatchPlan, BatchState, BatchStudyState, BatchView
from storage.batch_rows import LINES, is_kept_here, is_of_batch, line_from_row, view_from_row
from storage.database import reading, writing
from storage.due import is_due
from storage.errors import IllegalBatchStepError, UnknownBatchError
from storage.lifecycle import State
from storage.models import Attempt, Instance, Outcome, Series, Study

_PAGE = 1000
_MAY_BECOME = {
    BatchState.PAUSED: (BatchState.RUNNING,),
    BatchState.RUNNING: (BatchState.PAUSED, BatchState.CANCELLED),
    BatchState.CANCELLED: (BatchState.RUNNING, BatchState.PAUSED),
}
"""From which states an operator takes a run where; a run that was cancelled is taken up again by `resume`."""
_NEEDS = {
    BatchState.PAUSED: "only one that runs is paused",
    BatchState.RUNNING: "only one that was paused or cancelled is resumed; `batch retry` takes up failed studies",
    BatchState.CANCELLED: "only one that runs or is paused is cancelled",
}


class BatchLedger:
    """Runs; every method is one transaction."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine."""
        self._engine = engine
        self._now = now

    def begin(self, plan: BatchPlan, studies: Mapping[str, str]) -> int:
        """Keep a run that begins; returns its number.

        Args:
            plan: How it runs.
            studies: Study date (YYYYMMDD or empty) by Study Instance UID, in the order in which they are fetched.
        """
        at = self._now()
        values = {
            "name": plan.name,
            "peer": plan.peer,
            "state": BatchState.RUNNING,
            "created_at": at,
            "delivers": plan.delivers,
            "in_flight": plan.in_flight,
            "per_hour": plan.per_hour,
            "hours": plan.hours,
            "next_try_at": at,
            "failures": 0,
            "words": "",
        }
        row = {"state": BatchStudyState.WAITING, "is_own": False, "tries": 0, "next_try_at": at, "words": ""}
        with writing(self._engine) as connection:
            number = connection.execute(insert(Batch).values(**values).returning(Batch.id)).scalar_one()
            rows = [
                {**row, "batch_id": number, "study_instance_uid": uid, "study_date": studies[uid]} for uid in studies
            ]
            if rows:
                connection.execute(insert(BatchStudy), rows)
        return number

    def views(self) -> tuple[BatchView, ...]:
        """Every run, oldest first."""
        return self._views()

    def under_way(self) -> tuple[BatchView, ...]:
        """Runs that are neither done nor cancelled, oldest first."""
        return self._views(Batch.state.in_((BatchState.RUNNING, BatchState.PAUSED)))

    def view(self, number: int) -> BatchView:
        """One run.

        Raises:
            UnknownBatchError: There is none with this number.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(Batch).where(Batch.id == number)).one_or_none()
            if row is None:
                raise UnknownBatchError(number)
            return view_from_row(connection, row, at=self._now())

    def running(self, peer: str) -> tuple[BatchView, ...]:
        """Runs over a PACS that are neither paused nor over, oldest first."""
        return self._views(Batch.state == BatchState.RUNNING, Batch.peer == peer)

    def lines(self, number: int) -> Iterator[BatchLine]:
        """The studies of a run in the order of the list, read in pieces."""
        last = 0
        while True:
            wanted = LINES.where(BatchStudy.batch_id == number, BatchStudy.id > last)
            with reading(self._engine) as connection:
                rows = connection.execute(wanted.order_by(BatchStudy.id).limit(_PAGE)).all()
            if not rows:
                return
            yield from map(line_from_row, rows)
            last = rows[-1].id

    def in_state(self, number: int, state: BatchStudyState, *, latest: datetime | None = None) -> tuple[BatchLine, ...]:
        """Studies of a run in a state; of those that wait only what is due now (`is_due`), and of these the next one."""
        wanted = LINES.where(BatchStudy.batch_id == number, BatchStudy.state == state)
        if state is BatchStudyState.WAITING:
            due = wanted.where(is_due(BatchStudy.next_try_at, at=self._now(), latest=latest))
            wanted = due.order_by(BatchStudy.next_try_at, BatchStudy.id).limit(1)
        with reading(self._engine) as connection:
            return tuple(map(line_from_row, connection.execute(wanted).all()))

    def in_analysis(self) -> tuple[BatchLine, ...]:
        """Studies that are here and whose end is to be noted, of every run whatever its state."""
        # By way of the runs: the index of the table begins with them.
        here = (BatchStudy.batch_id.in_(select(Batch.id)), BatchStudy.state == BatchStudyState.ANALYSING)
        wanted = LINES.where(*here).order_by(BatchStudy.id)
        with reading(self._engine) as connection:
            return tuple(map(line_from_row, connection.execute(wanted).all()))

    def is_kept_here(self, study_instance_uid: str) -> bool:
        """Whether no result of the study is sent: runs are the reason why it is analysed, and none of them sends."""
        with reading(self._engine) as connection:
            return is_kept_here(connection, study_instance_uid)

    def move(self, number: int, state: BatchState) -> BatchView:
        """Pause, resume or cancel a run as an operator says.

        What a cancelled run has not asked for is not fetched; `resume` takes it up again.

        Raises:
            UnknownBatchError: There is none with this number.
            IllegalBatchStepError: It stands where this has no place.
        """
        with writing(self._engine) as connection:
            here = _state_of(connection, number)
            if here not in _MAY_BECOME[state]:
                raise IllegalBatchStepError(number, f"is {here}: {_NEEDS[state]}")
            _set_batch(connection, number, {"state": state, "next_try_at": self._now(), "failures": 0, "words": ""})
            if state is BatchState.CANCELLED:
                _exchange(connection, number, BatchStudyState.WAITING, BatchStudyState.CANCELLED)
            if state is BatchState.RUNNING:
                _exchange(connection, number, BatchStudyState.CANCELLED, BatchStudyState.WAITING)
        return self.view(number)

    def pause_itself(self, number: int) -> None:
        """Pause a run that runs for something that somebody has to put right; its words stay, and say what."""
        with writing(self._engine) as connection:
            running = (Batch.id == number, Batch.state == BatchState.RUNNING)
            connection.execute(update(Batch).where(*running).values(state=BatchState.PAUSED))

    def retry(self, number: int, *, analysed_anew: Sequence[str]) -> BatchView:
        """Take up the studies of a run that failed; one that was done runs on.

        Args:
            number: Of the run.
            analysed_anew: UIDs of those that are here as a whole and on their way through the node again.

        Raises:
            UnknownBatchError: There is none with this number.
            IllegalBatchStepError: It is cancelled, or no study of it failed.
        """
        at = self._now()
        again = {"tries": 0, "next_try_at": at, "words": "", "ended_at": None}
        with writing(self._engine) as connection:
            if _state_of(connection, number) is BatchState.CANCELLED:
                raise IllegalBatchStepError(number, "is cancelled: `batch resume` takes it up first")
            failed = update(BatchStudy).where(BatchStudy.batch_id == number, BatchStudy.state == BatchStudyState.FAILED)
            count = 0
            for first in range(0, len(analysed_anew), _PAGE):
                some = BatchStudy.study_instance_uid.in_(analysed_anew[first : first + _PAGE])
                anew = failed.where(some).values(**again, state=BatchStudyState.ANALYSING)
                count += connection.execute(anew).rowcount
            count += connection.execute(failed.values(**again, state=BatchStudyState.WAITING)).rowcount
            if not count:
                raise IllegalBatchStepError(number, "has no failed study")
            _set_batch(connection, number, {"next_try_at": at, "failures": 0, "words": ""})
            over = (Batch.id == number, Batch.state == BatchState.DONE)
            connection.execute(update(Batch).where(*over).values(state=BatchState.RUNNING))
        return self.view(number)

    def release_running(self, peer: str) -> None:
        """Ask again for what a worker that is gone was fetching; what came of it meanwhile is not fetched twice."""
        of_peer = select(Batch.id).where(Batch.peer == peer)
        with writing(self._engine) as connection:
            connection.execute(
                update(BatchStudy)
                .where(BatchStudy.batch_id.in_(of_peer), BatchStudy.state == BatchStudyState.FETCHING)
                .values(state=BatchStudyState.WAITING)
            )
            nothing_came = ~exists().where(Study.study_instance_uid == BatchStudy.study_instance_uid)
            disowned = (BatchStudy.batch_id.in_(of_peer), BatchStudy.state == BatchStudyState.WAITING, nothing_came)
            connection.execute(update(BatchStudy).where(*disowned).values(is_own=False))
            _cancel_waiting(connection)

    def asked(self, line: BatchLine, *, is_own: bool) -> None:
        """The study is asked for now.

        Args:
            line: The study.
            is_own: The run is the reason why it is analysed; that stays true once it was.
        """
        values: dict[str, object] = {"state": BatchStudyState.FETCHING, "asked_at": self._now()}
        self._update(line, values | ({"is_own": True} if is_own else {}))

    def fetched(self, line: BatchLine) -> None:
        """The study is here as a whole: the PACS answers, and is asked on."""
        with writing(self._engine) as connection:
            _set(connection, line, {"state": BatchStudyState.ANALYSING, "words": ""})
            _set_batch(connection, line.number, {"failures": 0, "words": ""})

    def put_off(self, line: BatchLine, words: str, *, tries: int, next_try_at: datetime) -> None:
        """The retrieval failed: neither this study nor another one of the run is asked for before an instant."""
        with writing(self._engine) as connection:
            values = {"state": BatchStudyState.WAITING, "words": words, "tries": tries, "next_try_at": next_try_at}
            _set(connection, line, values)
            # Should it come by itself before it is asked for again, it is a study as any other.
            nothing_came = ~exists().where(Study.study_instance_uid == BatchStudy.study_instance_uid)
            connection.execute(update(BatchStudy).where(*_here(line), nothing_came).values(is_own=False))
            values = {"failures": Batch.failures + 1, "words": words, "next_try_at": next_try_at}
            _set_batch(connection, line.number, values)
            _cancel_waiting(connection)

    def end(
        self, line: BatchLine, state: BatchStudyState, words: str, *, findings: BatchFindings | None = None
    ) -> None:
        """The study is through; what was found is kept for good, whatever becomes of the study."""
        values = {"state": state, "words": words, "ended_at": self._now()}
        with writing(self._engine) as connection:
            ended = update(BatchStudy).where(*_here(line), BatchStudy.state.in_(UNENDED)).values(**values)
            key = connection.execute(ended.returning(BatchStudy.id)).scalar_one_or_none()
            if key is not None and findings is not None:
                connection.execute(insert(BatchFinding).values(batch_study_id=key, **asdict(findings)))

    def counts_beside(self) -> dict[State, int]:
        """How many studies are in each state that no run is the reason for; states without a study are left out."""
        counted = select(Study.state, func.count().label("studies")).where(~is_of_batch()).group_by(Study.state)
        with reading(self._engine) as connection:
            return {row.state: row.studies for row in connection.execute(counted)}

    def held_of(self, uids: Sequence[str]) -> frozenset[str]:
        """Those of the studies that the node has anything of."""
        held: set[str] = set()
        with reading(self._engine) as connection:
            for first in range(0, len(uids), _PAGE):
                some = Study.study_instance_uid.in_(uids[first : first + _PAGE])
                held.update(connection.execute(select(Study.study_instance_uid).where(some)).scalars())
        return frozenset(held)

    def mean_analysis_s(self) -> float | None:
        """Seconds that the newest 100 successful analyses took on average; None before the first."""
        good = select(Attempt.started_at, Attempt.ended_at).where(Attempt.outcome == Outcome.SUCCEEDED)
        with reading(self._engine) as connection:
            rows = connection.execute(good.order_by(Attempt.id.desc()).limit(100)).all()
        took_s = [(row.ended_at - row.started_at).total_seconds() for row in rows]
        return fmean(took_s) if took_s else None

    def mean_study_bytes(self) -> float | None:
        """Bytes that the newest 1000 studies have on average; None before the first."""
        newest = select(Study.id).order_by(Study.id.desc()).limit(_PAGE)
        sizes = (
            select(
                func.sum(Instance.size_bytes).label("size_bytes"),
                func.count(Series.study_id.distinct()).label("studies"),
            )
            .join(Series, Series.id == Instance.series_id)
            .where(Series.study_id.in_(newest))
        )
        with reading(self._engine) as connection:
            row = connection.execute(sizes).one()
        return float(row.size_bytes) / row.studies if row.studies else None

    def settle(self) -> tuple[int, ...]:
        """End every running run of which every study has ended; their numbers."""
        has_more = exists().where(BatchStudy.batch_id == Batch.id, BatchStudy.state.in_(UNENDED))
        is_over = (Batch.state == BatchState.RUNNING, ~has_more)
        with reading(self._engine) as connection:
            if not connection.execute(select(Batch.id).where(*is_over).limit(1)).all():
                return ()
        with writing(self._engine) as connection:
            ended = update(Batch).where(*is_over).values(state=BatchState.DONE).returning(Batch.id)
            return tuple(connection.execute(ended).scalars())

    def _views(self, *conditions: ColumnElement[bool]) -> tuple[BatchView, ...]:
        with reading(self._engine) as connection:
            rows = connection.execute(select(Batch).where(*conditions).order_by(Batch.id)).all()
            return tuple(view_from_row(connection, row, at=self._now()) for row in rows)

    def _update(self, line: BatchLine, values: Mapping[str, object]) -> None:
        with writing(self._engine) as connection:
            _set(connection, line, values)


def _set(connection: Connection, line: BatchLine, values: Mapping[str, object]) -> None:
    connection.execute(update(BatchStudy).where(*_here(line)).values(**values))


def _here(line: BatchLine) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return BatchStudy.batch_id == line.number, BatchStudy.study_instance_uid == line.study_instance_uid


def _set_batch(connection: Connection, number: int, values: Mapping[str, object]) -> None:
    connection.execute(update(Batch).where(Batch.id == number).values(**values))


def _state_of(connection: Connection, number: int) -> BatchState:
    state = connection.execute(select(Batch.state).where(Batch.id == number)).scalar_one_or_none()
    if state is None:
        raise UnknownBatchError(number)
    return state


def _exchange(connection: Connection, number: int, one: BatchStudyState, other: BatchStudyState) -> None:
    here = (BatchStudy.batch_id == number, BatchStudy.state == one)
    connection.execute(update(BatchStudy).where(*here).values(state=other))


def _cancel_waiting(connection: Connection) -> None:
    """Nothing waits in a cancelled run, not even what was on its way when it was cancelled and did not come."""
    cancelled = select(Batch.id).where(Batch.state == BatchState.CANCELLED)
    here = (BatchStudy.batch_id.in_(cancelled), BatchStudy.state == BatchStudyState.WAITING)
    connection.execute(update(BatchStudy).where(*here).values(state=BatchStudyState.CANCELLED))
