"""What callers ask: whether we keep what we were sent (PS3.4 annex J, as SCP)."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from storage.commitment_models import CommitmentInquiry, InquiredObject
from storage.commitment_records import Inquiry, InquiryOutcome, InquiryState, KeptCopy, Reference
from storage.database import AnyRow
from storage.due import is_due
from storage.models import Instance

_MAXIMUM_OPEN = 1000
"""Of one caller: more than a modality has studies between two looks of an administrator."""
_KEPT = timedelta(days=7)
"""How long an inquiry that is over is remembered."""
_PAUSE = timedelta(seconds=1)
"""The caller first gets the answer to its request, and may close its association."""
_AT_ONCE = 500
"""SQLite takes 32,766 parameters, PostgreSQL 65,535; shorter statements let writers in between."""


def ask(
    connection: Connection, calling_aet: str, transaction_uid: str, references: Sequence[Reference], *, at: datetime
) -> InquiryOutcome:
    """Keep an inquiry; one that comes again is answered again."""
    of_caller = CommitmentInquiry.calling_aet == calling_aet
    known = connection.execute(
        select(CommitmentInquiry.id).where(of_caller, CommitmentInquiry.transaction_uid == transaction_uid)
    ).scalar_one_or_none()
    if known is not None:
        if set(_references(connection, known)) != set(references):
            return InquiryOutcome.OTHER_REFERENCES
        due = {"state": InquiryState.DUE, "tries": 0, "asked_at": at, "next_try_at": at + _PAUSE}
        connection.execute(update(CommitmentInquiry).where(CommitmentInquiry.id == known).values(**due))
        return InquiryOutcome.TAKEN
    counted = select(func.count()).where(of_caller, CommitmentInquiry.state == InquiryState.DUE)
    if connection.execute(counted).scalar_one() >= _MAXIMUM_OPEN:
        return InquiryOutcome.TOO_MANY
    values = {
        "calling_aet": calling_aet,
        "transaction_uid": transaction_uid,
        "state": InquiryState.DUE,
        "asked_at": at,
        "tries": 0,
        "next_try_at": at + _PAUSE,
    }
    made = connection.execute(insert(CommitmentInquiry).values(**values).returning(CommitmentInquiry.id)).scalar_one()
    rows = [
        {"inquiry_id": made, "sop_class_uid": one.sop_class_uid, "sop_instance_uid": one.sop_instance_uid}
        for one in references
    ]
    connection.execute(insert(InquiredObject), rows)
    return InquiryOutcome.TAKEN


def next_due(connection: Connection, *, at: datetime, latest: datetime | None = None) -> Inquiry | None:
    """The inquiry that is to be answered now: the one that waits longest, of those that wait together the least tried."""
    row = connection.execute(
        select(CommitmentInquiry)
        .where(CommitmentInquiry.state == InquiryState.DUE, is_due(CommitmentInquiry.next_try_at, at=at, latest=latest))
        .order_by(CommitmentInquiry.next_try_at, CommitmentInquiry.tries, CommitmentInquiry.id)
        .limit(1)
    ).one_or_none()
    return _inquiry(connection, row) if row else None


def hold(connection: Connection, inquiry_id: int, *, until: datetime) -> None:
    """Somebody answers an inquiry; it is due again at `until`."""
    connection.execute(update(CommitmentInquiry).where(CommitmentInquiry.id == inquiry_id).values(next_try_at=until))


def claim(connection: Connection, calling_aet: str, transaction_uid: str, *, until: datetime) -> Inquiry | None:
    """An inquiry that nobody has taken or tried to answer; it is due again at `until`."""
    row = connection.execute(
        select(CommitmentInquiry).where(
            CommitmentInquiry.calling_aet == calling_aet,
            CommitmentInquiry.transaction_uid == transaction_uid,
            CommitmentInquiry.state == InquiryState.DUE,
            CommitmentInquiry.tries == 0,
        )
    ).one_or_none()
    if row is None or row.next_try_at > row.asked_at + _PAUSE:
        return None
    hold(connection, row.id, until=until)
    return _inquiry(connection, row)


def copies_of(connection: Connection, sop_instance_uids: Sequence[str]) -> dict[str, tuple[KeptCopy, ...]]:
    """Every stored copy of each of these instances, whatever study it came under."""
    copies: dict[str, tuple[KeptCopy, ...]] = {}
    for begin in range(0, len(sop_instance_uids), _AT_ONCE):
        some = sop_instance_uids[begin : begin + _AT_ONCE]
        rows = connection.execute(select(Instance).where(Instance.sop_instance_uid.in_(some)).order_by(Instance.id))
        for row in rows:
            copy = KeptCopy(
                sop_class_uid=row.sop_class_uid,
                relative_path=row.relative_path,
                size_bytes=row.size_bytes,
                sha256=row.sha256,
            )
            copies[row.sop_instance_uid] = (*copies.get(row.sop_instance_uid, ()), copy)
    return copies


def postpone(connection: Connection, inquiry: Inquiry, *, next_try_at: datetime) -> None:
    """The report could not be brought; nothing where it was asked anew."""
    values = {"tries": CommitmentInquiry.tries + 1, "next_try_at": next_try_at}
    connection.execute(update(CommitmentInquiry).where(*_as_asked(inquiry)).values(**values))


def postpone_all(
    connection: Connection,
    calling_aets: Collection[str],
    *,
    spare: Collection[str],
    next_try_at: datetime,
    at: datetime,
) -> None:
    """The caller could not be reached: what waits for it waits together, none of it for less long than before.

    That is no try of these: what was tried least comes first, so that a report over which the caller breaks does not keep
    the others back. Left alone is what it asked just now, or what somebody answers for the first time: its association may be open.

    Args:
        connection: In a writing transaction.
        calling_aets: AE titles of the caller.
        spare: Transactions that can be answered without calling it.
        next_try_at: When it is called again.
        at: Now.
    """
    waits = (
        CommitmentInquiry.calling_aet.in_(calling_aets),
        CommitmentInquiry.state == InquiryState.DUE,
        CommitmentInquiry.next_try_at < next_try_at,
        or_(CommitmentInquiry.tries > 0, CommitmentInquiry.next_try_at <= at),
        CommitmentInquiry.transaction_uid.not_in(spare),
    )
    connection.execute(update(CommitmentInquiry).where(*waits).values(next_try_at=next_try_at))


def end(connection: Connection, inquiry: Inquiry, state: InquiryState, *, at: datetime) -> bool:
    """The inquiry is over, unless it was asked anew, which gives False; those that ended long ago are forgotten."""
    ended = connection.execute(update(CommitmentInquiry).where(*_as_asked(inquiry)).values(state=state))
    old = select(CommitmentInquiry.id).where(
        CommitmentInquiry.state != InquiryState.DUE, CommitmentInquiry.next_try_at < at - _KEPT
    )
    connection.execute(delete(InquiredObject).where(InquiredObject.inquiry_id.in_(old)))
    connection.execute(delete(CommitmentInquiry).where(CommitmentInquiry.id.in_(old)))
    return ended.rowcount > 0


def _as_asked(inquiry: Inquiry) -> tuple[ColumnElement[bool], ...]:
    return CommitmentInquiry.id == inquiry.inquiry_id, CommitmentInquiry.asked_at == inquiry.asked_at


def _inquiry(connection: Connection, row: AnyRow) -> Inquiry:
    return Inquiry(
        inquiry_id=row.id,
        calling_aet=row.calling_aet,
        transaction_uid=row.transaction_uid,
        asked_at=row.asked_at,
        tries=row.tries,
        references=_references(connection, row.id),
    )


def _references(connection: Connection, inquiry_id: int) -> tuple[Reference, ...]:
    rows = connection.execute(
        select(InquiredObject).where(InquiredObject.inquiry_id == inquiry_id).order_by(InquiredObject.id)
    )
    return tuple(Reference(sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid) for row in rows)
