"""One object for what the rules of a site are asked, and for what they decided."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from storage.database import AnyRow, reading, writing
from storage.errors import UnknownStudyError
from storage.life import move, standing_of
from storage.lifecycle import Event, State
from storage.models import History, Instance, Series, Study, Use
from storage.rule_records import RuleDecision, RuledSeries, RuledStudy
from storage.rule_rows import add_decision, held_decision


class RuleLedger:
    """Decisions about studies; every method is one transaction."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine."""
        self._engine = engine
        self._now = now

    def facts_of(self, study_instance_uid: str) -> RuledStudy:
        """What rules look at in a study.

        Raises:
            UnknownStudyError: The index has no such study.
        """
        with reading(self._engine) as connection:
            study = _study_row(connection, study_instance_uid)
            return RuledStudy(
                study_instance_uid=study_instance_uid,
                description=study.description,
                last_instance_at=study.last_instance_at,
                is_asked_for=_is_asked_for(connection, study.id),
                series=_series_of(connection, study.id),
            )

    def decision_of(self, study_instance_uid: str) -> RuleDecision | None:
        """What was decided and holds; None before the rules were asked.

        Raises:
            UnknownStudyError: The index has no such study.
        """
        with reading(self._engine) as connection:
            return held_decision(connection, _study_row(connection, study_instance_uid).id)

    def decide(self, study_instance_uid: str, decision: RuleDecision) -> RuleDecision:
        """Keep a decision, tell the history of it, and skip a study that waits and is not to run.

        Returns:
            What holds: where somebody else decided meanwhile, their decision.

        Raises:
            IllegalTransitionError: The study stands where nothing is decided about it.
            UnknownStudyError: The index has no such study.
        """
        at = self._now()
        with writing(self._engine) as connection:
            study = standing_of(connection, study_instance_uid)
            known = held_decision(connection, study.study_id)
            if known:
                return known
            add_decision(connection, study.study_id, decision, revision=study.revision, at=at)
            # A study that a worker holds is skipped by the end of its attempt.
            ends = not decision.runs and study.state is not State.PROCESSING
            if decision.why or ends:
                move(connection, study, Event.RULED_OUT if ends else Event.RULED, why=decision.why, at=at)
            return decision


def _study_row(connection: Connection, study_instance_uid: str) -> AnyRow:
    columns = (Study.id, Study.description, Study.last_instance_at)
    row = connection.execute(select(*columns).where(Study.study_instance_uid == study_instance_uid)).one_or_none()
    if row is None:
        raise UnknownStudyError(study_instance_uid)
    return row


def _is_asked_for(connection: Connection, study_id: int) -> bool:
    """Whether an operator wanted it analysed when it was skipped; that holds, however often it runs, until images come."""
    completions = (Event.COMPLETED, Event.COMPLETED_BY_OPERATOR)
    rows = connection.execute(
        select(History.event, History.from_state)
        .where(
            History.study_id == study_id,
            History.event.in_((*completions, Event.RETRIED)),
            History.to_state == State.WAITING_FOR_PRIORS,
        )
        .order_by(History.id.desc())
    )
    since_completion = takewhile(lambda row: row.event is Event.RETRIED, rows)
    return any(row.from_state is State.SKIPPED for row in since_completion)


def _series_of(connection: Connection, study_id: int) -> tuple[RuledSeries, ...]:
    """The series with images that may be used, in the order of their arrival."""
    by_key: dict[int, list[AnyRow]] = {}
    for row in connection.execute(
        select(
            Series,
            Instance.calling_aet,
            Instance.called_aet,
            Instance.relative_path,
        )
        .join(Instance, Instance.series_id == Series.id)
        .where(Series.study_id == study_id, Instance.use == Use.USED)
        .order_by(Series.id, Instance.id)
    ):
        by_key.setdefault(row.id, []).append(row)
    return tuple(_series_from(rows) for rows in by_key.values())


def _series_from(rows: Sequence[AnyRow]) -> RuledSeries:
    first = rows[0]
    return RuledSeries(
        series_instance_uid=first.series_instance_uid,
        calling_ae_titles=tuple(dict.fromkeys(row.calling_aet for row in rows)),
        called_ae_titles=tuple(dict.fromkeys(row.called_aet for row in rows)),
        modality=first.modality,
        body_part=first.body_part,
        description=first.description,
        image=Path(first.relative_path),
    )
