"""Decisions of rules as rows, within a transaction."""

import json
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from storage.database import AnyRow
from storage.models import Study
from storage.rule_models import Decision
from storage.rule_records import RuledDestination, RuleDecision

URGENCY = {"urgent": 1, "normal": 0, "low": -1}
_PRIORITY = {urgency: priority for priority, urgency in URGENCY.items()}


def held_decision(connection: Connection, study_id: int) -> RuleDecision | None:
    """What holds for a study; None where nothing was decided since it runs anew."""
    row = connection.execute(
        select(Decision).where(Decision.study_id == study_id, Decision.holds.is_(True))
    ).one_or_none()
    return _decision_from(row) if row else None


def add_decision(connection: Connection, study_id: int, decision: RuleDecision, *, revision: int, at: datetime) -> None:
    """Keep a decision; the study has none that holds."""
    named = decision.destinations
    connection.execute(
        insert(Decision).values(
            study_id=study_id,
            revision=revision,
            at=at,
            holds=True,
            rule=decision.rule,
            rule_text=decision.rule_text,
            runs=decision.runs,
            urgency=URGENCY[decision.priority],
            destinations="" if named is None else json.dumps([[one.name, one.results] for one in named]),
            why=decision.why,
        )
    )


def void_decision(connection: Connection, study_id: int) -> None:
    """Let the rules decide again: the study runs anew."""
    held = (Decision.study_id == study_id, Decision.holds.is_(True))
    connection.execute(update(Decision).where(*held).values(holds=False))


def urgency_of_study() -> ColumnElement[int]:
    """How urgent a study of the statement around it is; normal where nothing was decided."""
    held = select(Decision.urgency).where(Decision.study_id == Study.id, Decision.holds.is_(True))
    return func.coalesce(held.scalar_subquery(), 0)


def _decision_from(row: AnyRow) -> RuleDecision:
    return RuleDecision(
        rule=row.rule,
        rule_text=row.rule_text,
        runs=row.runs,
        priority=_PRIORITY[row.urgency],
        destinations=_destinations_from(row.destinations),
        why=row.why,
    )


def _destinations_from(text: str) -> tuple[RuledDestination, ...] | None:
    if not text:
        return None
    return tuple(RuledDestination(name=name, results=tuple(results)) for name, results in json.loads(text))
