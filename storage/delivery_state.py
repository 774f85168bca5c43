"""Whether anything is still to be sent."""

from sqlalchemy import ColumnElement, Engine, select

from storage.database import reading
from storage.models import Delivery, Progress, Study


def has_to_be_sent() -> ColumnElement[bool]:
    """Whether an object of the study of the statement around it waits to be sent.

    Only objects of the newest result wait, those of older ones are superseded with it. As a list that is made once: who
    sends nothing has many studies with a result, and few or none of which something waits.
    """
    return Study.id.in_(select(Delivery.study_id).where(Delivery.state == Progress.WAITING))


def is_waiting(engine: Engine, delivery_id: int) -> bool:
    """Whether a delivery that was due is to be made still: the study may run anew meanwhile, or be gone.

    Raises:
        StorageError: The index cannot be read.
    """
    with reading(engine) as connection:
        state = connection.execute(select(Delivery.state).where(Delivery.id == delivery_id)).scalar_one_or_none()
    return state is Progress.WAITING
