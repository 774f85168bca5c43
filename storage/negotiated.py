"""What the destinations accept, as they last said in the negotiation of an association."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from storage.models import NegotiatedClass
from storage.records import ClassAnswer


def note_answers(connection: Connection, destination: str, answers: Sequence[ClassAnswer]) -> None:
    """Keep the answers in the place of older ones to the same classes."""
    uids = [answer.sop_class_uid for answer in answers]
    of_destination = NegotiatedClass.destination == destination
    connection.execute(delete(NegotiatedClass).where(of_destination, NegotiatedClass.sop_class_uid.in_(uids)))
    rows = [
        {
            "destination": destination,
            "sop_class_uid": answer.sop_class_uid,
            "transfer_syntax_uid": answer.transfer_syntax_uid,
            "refusal": answer.refusal,
            "at": answer.at,
        }
        for answer in answers
    ]
    if rows:
        connection.execute(insert(NegotiatedClass), rows)


def answers_of(connection: Connection, destination: str) -> tuple[ClassAnswer, ...]:
    """The newest answer to each class that was ever offered to the destination."""
    rows = connection.execute(
        select(NegotiatedClass)
        .where(NegotiatedClass.destination == destination)
        .order_by(NegotiatedClass.sop_class_uid)
    )
    return tuple(
        ClassAnswer(
            sop_class_uid=row.sop_class_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            refusal=row.refusal,
            at=row.at,
        )
        for row in rows
    )
