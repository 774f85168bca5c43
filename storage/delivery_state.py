"""Whether a delivery is still to be made, asked in the moment before the object goes out."""

from sqlalchemy import Engine, select

from storage.database import reading
from storage.models import Delivery, Progress


def is_waiting(engine: Engine, delivery_id: int) -> bool:
    """Whether a delivery that was due is to be made still: the study may run anew meanwhile, or be gone.

    Raises:
        StorageError: The index cannot be read.
    """
    with reading(engine) as connection:
        state = connection.execute(select(Delivery.state).where(Delivery.id == delivery_id)).scalar_one_or_none()
    return state is Progress.WAITING
