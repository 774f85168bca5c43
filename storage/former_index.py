"""What an index says about its studies to the one that is made anew in its place."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Engine, Text, select, type_coerce

from storage.batch_models import Batch, BatchStudy
from storage.database import open_engine, reading
from storage.errors import StorageError
from storage.models import Origin, Study

_STUDIES = select(
    Study.study_instance_uid,
    # As they are written: what is damaged may hold other words.
    type_coerce(Study.origin, Text).label("origin"),
    type_coerce(Study.state, Text).label("state"),
    Study.reason,
    Study.instance_count,
)
_BATCHES = select(BatchStudy.study_instance_uid, Batch.delivers).join(Batch, Batch.id == BatchStudy.batch_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerStudy:
    """A study as it stood."""

    origin: str
    """A word of `Origin`."""
    state: str
    """A word of `State`."""
    reason: str
    instance_count: int
    is_kept_here: bool | None
    """Whether batches that send nothing were the reason why it is analysed; None where that could not be read."""

    @property
    def was_fetched(self) -> bool:
        """Whether it was here only to be compared with, whole or in part."""
        return self.origin in {Origin.FETCHED, Origin.FETCHING}

    @property
    def is_whole(self) -> bool:
        """Whether all of it was here, and not only what a retrieval had brought so far."""
        return self.origin != Origin.FETCHING


@dataclass(slots=True)
class FormerIndex:
    """What could be read of an index."""

    studies: dict[str, FormerStudy] = field(default_factory=dict)
    """By Study Instance UID."""
    is_whole: bool = False
    """Whether it is sound and was read to its end: what it does not name, it never knew."""


def read_former_index(url: str, *, is_sound: bool) -> FormerIndex:
    """What can be read of an index; of one that is damaged, or of another version, that may be less than all, or nothing."""
    former = FormerIndex()
    engine = open_engine(url)
    try:
        kept_here = _kept_here(engine)
        for uid, study in _studies(engine, kept_here):
            former.studies[uid] = study
        former.is_whole = is_sound
    except (StorageError, TypeError, ValueError):
        # A number that is none, where a page is damaged and holds together all the same.
        former.is_whole = False
    finally:
        engine.dispose()
    return former


def _kept_here(engine: Engine) -> dict[str, bool] | None:
    """Studies of batches, and whether none of these sends anything; None where that cannot be read."""
    try:
        with reading(engine) as connection:
            # Those that send come last, and so hold.
            rows = connection.execute(_BATCHES.where(BatchStudy.is_own).order_by(Batch.delivers))
            return {row.study_instance_uid: not row.delivers for row in rows}
    except StorageError:
        return None


def _studies(engine: Engine, kept_here: dict[str, bool] | None) -> Iterator[tuple[str, FormerStudy]]:
    with reading(engine) as connection:
        for row in connection.execute(_STUDIES):
            yield (
                row.study_instance_uid,
                FormerStudy(
                    origin=row.origin,
                    state=row.state,
                    reason=str(row.reason),
                    instance_count=int(row.instance_count),
                    is_kept_here=None if kept_here is None else kept_here.get(row.study_instance_uid, False),
                ),
            )
