"""Takes a study that the node had asked for as any other, once somebody sends it to the node."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, update

from storage.batch_rows import leave
from storage.fetches import ASKED_FOR, is_asked_for
from storage.life import move
from storage.lifecycle import Event
from storage.models import Origin, Study
from storage.parents import KnownStudy
from storage.records import ReceivedInstance

SENT: Final = "sent to the node after it was fetched as an earlier study: it is analysed as any other from now on"
SENT_BESIDE_BATCH: Final = "sent to the node after a batch had it: its results go where those of any other study go"
STILL_MIXED: Final = "a further instance came for a study that names two patients"


def as_received(
    connection: Connection, study: KnownStudy, images: Sequence[ReceivedInstance], *, at: datetime
) -> KnownStudy:
    """The study for which images came, as it stands then.

    One that was fetched becomes one that is received, complete and analysed as any other, unless the images may come
    because the node asked for them. Whether they are here already makes no difference: who sends a study to the node
    wants it analysed.
    """
    uid = images[0].study_instance_uid
    if study.origin is Origin.RECEIVED or is_asked_for(connection, uid, at=at):
        return study
    last_at = max([study.last_instance_at, *(image.received_at for image in images)])
    values = {"origin": Origin.RECEIVED, "last_instance_at": last_at}
    connection.execute(update(Study).where(Study.id == study.standing.study_id).values(**values))
    event, why = Event.INSTANCE_ARRIVED, SENT
    if study.has_identity_conflict:
        event, why = Event.PATIENT_CONTRADICTED, STILL_MIXED
    standing = move(connection, study.standing, event, why=why, at=at)
    return replace(study, standing=standing, origin=Origin.RECEIVED, last_instance_at=last_at)


def leaves_its_batches(connection: Connection, study_instance_uid: str, *, at: datetime) -> bool:
    """Whether a study of batches, for which a new image came, is one as any other from now on: somebody sent it.

    It stays of its batches where the image may come because the node asked for it.
    """
    if is_asked_for(connection, study_instance_uid, at=at):
        return False
    return leave(connection, study_instance_uid, asked_before=at - ASKED_FOR)
