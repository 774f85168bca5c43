"""What an operator orders: which studies of a PACS, how many at a time, at what hours."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from config.settings import Peer, Settings
from dicom_node.audit.trail import audit_trail
from dicom_node.batch.errors import BatchOrderError, BatchPlanError
from dicom_node.batch.hours import HOURS_FORM, hours_from
from dicom_node.batch.listing import StudyQuery, by_accession_number, by_query, by_uid, list_from_file
from dicom_node.retrieve.association import Conversation, StopSwitch, conversation
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.find import FIND_OFFER
from storage.batch_records import BatchPlan

_LIST_LIMIT_S = 6 * 3600.0
"""Years of an archive are asked for over one association."""

_Positive = Annotated[int, Field(ge=1)]


class BatchOrder(BaseModel):
    """The keys of `batch start`; either a file or a query of days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    studies: Path | None = None
    """A file of Study Instance UIDs."""
    accession_numbers: Path | None = None
    """A file of accession numbers."""
    since: date | None = None
    until: date | None = None
    modality: str = "CT"
    description: str = ""
    answer_limit: _Positive = 500
    name: str = ""
    in_flight: _Positive = 4
    per_hour: _Positive = 60
    hours: str = ""

    @field_validator("hours")
    @classmethod
    def _are_hours(cls, text: str) -> str:
        try:
            hours_from(text)
        except BatchPlanError as exc:
            raise ValueError(HOURS_FORM) from exc
        return text

    @model_validator(mode="after")
    def _names_studies(self) -> Self:
        named = [self.studies is not None, self.accession_numbers is not None, bool(self.since or self.until)]
        if sum(named) != 1:
            reason = "say one of studies=FILE, accession_numbers=FILE, or since=YYYY-MM-DD with until=YYYY-MM-DD"
            raise ValueError(reason)
        if named[2] and not (self.since and self.until and self.since <= self.until):
            reason = "since and until: both are needed, and since is not after until"
            raise ValueError(reason)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedStudies:
    """The studies of an order."""

    studies: Mapping[str, str]
    """Study date by Study Instance UID, oldest first; the entries of a file in its order."""
    not_found: tuple[str, ...]
    """Entries of a file that the PACS does not know."""


def order_from(values: Mapping[str, str]) -> BatchOrder:
    """The order that KEY=VALUE pairs make.

    Raises:
        BatchOrderError: With every problem, a line each.
    """
    try:
        return BatchOrder.model_validate(dict(values))
    except ValidationError as exc:
        problems = [_problem(one["loc"], one["msg"], one["input"]) for one in exc.errors()]
        raise BatchOrderError("\n".join(problems)) from exc


def _problem(place: tuple[int | str, ...], message: str, given: object) -> str:
    """A line about a key, or about the order as a whole; pydantic says of our own words that they are an error of a value."""
    words = message.removeprefix("Value error, ")
    return f"{'.'.join(map(str, place))}: {words} (got {given!r})" if place else words


def plan_from(order: BatchOrder, peer: Peer, *, delivers: bool) -> BatchPlan:
    """How the batch is to run."""
    return BatchPlan(
        name=order.name,
        peer=peer.name,
        delivers=delivers,
        in_flight=order.in_flight,
        per_hour=order.per_hour,
        hours=order.hours,
    )


def list_studies(settings: Settings, peer: Peer, order: BatchOrder) -> ListedStudies:
    """Ask the PACS which studies the order names.

    Raises:
        BatchListError: A file cannot be read.
        NodeError: The PACS was not reached, did not answer, or failed.
    """
    own_aet = settings.node.ae_title
    audit = RetrieveAudit(audit_trail(settings), peer, own_aet=own_aet)
    entries = [list_from_file(path) for path in (order.studies, order.accession_numbers) if path]
    with conversation(
        peer, FIND_OFFER, own_aet=own_aet, limit_s=_LIST_LIMIT_S, switch=StopSwitch(), audit=audit
    ) as talk:
        if order.since and order.until:
            return _queried(talk, order, order.since, order.until)
        if order.studies:
            return _named_by_uid(talk, entries[0])
        return _named_by_number(talk, entries[0])


def _queried(talk: Conversation, order: BatchOrder, since: date, until: date) -> ListedStudies:
    query = StudyQuery(
        since=since,
        until=until,
        modality=order.modality,
        description=order.description,
        answer_limit=order.answer_limit,
    )
    found = {one.study_instance_uid: one.study_date for one in by_query(talk, query)}
    in_order = sorted(found.items(), key=lambda pair: pair[1])
    return ListedStudies(studies=dict(in_order), not_found=())


def _named_by_uid(talk: Conversation, uids: list[str]) -> ListedStudies:
    found = {one.study_instance_uid: one.study_date for one in by_uid(talk, uids)}
    return ListedStudies(
        studies={uid: found[uid] for uid in uids if uid in found},
        not_found=tuple(uid for uid in uids if uid not in found),
    )


def _named_by_number(talk: Conversation, numbers: list[str]) -> ListedStudies:
    found: dict[str, str] = {}
    not_found = []
    for number, answers in by_accession_number(talk, numbers):
        found.update({one.study_instance_uid: one.study_date for one in answers})
        if not answers:
            not_found.append(number)
    return ListedStudies(studies=found, not_found=tuple(not_found))
