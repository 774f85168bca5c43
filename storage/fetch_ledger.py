"""One object for everything that the node knows about searches for earlier studies at a PACS."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Engine, select, update

from storage import fetch_steps, fetches
from storage.database import reading, writing
from storage.earlier import sought_patients
from storage.errors import UnknownStudyError
from storage.fetch_models import FoundPrior, PriorFetch
from storage.fetch_records import FetchState, FoundPriorView, FoundState, PriorFetchView
from storage.fetch_tasks import FetchTask, HeldStudy
from storage.models import Study

INTERRUPTED = "the worker stopped before it ended; it is begun again"


class FetchLedger:
    """Searches for earlier studies; every method is one transaction, so that a restart goes on where it was."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine."""
        self._engine = engine
        self._now = now

    def plan(self, study_instance_uid: str, *, peers: Sequence[str]) -> None:
        """Plan a search at each PACS for the current revision of a study, unless it is planned."""
        with writing(self._engine) as connection:
            fetch_steps.plan(connection, study_instance_uid, peers=peers, at=self._now())

    def of_study(self, study_instance_uid: str) -> tuple[PriorFetchView, ...]:
        """The searches of the current revision of a study.

        Raises:
            UnknownStudyError: The index has no such study.
        """
        with reading(self._engine) as connection:
            wanted = select(Study.id, Study.revision).where(Study.study_instance_uid == study_instance_uid)
            study = connection.execute(wanted).one_or_none()
            if study is None:
                raise UnknownStudyError(study_instance_uid)
            return fetches.fetches_of(connection, study.id, revision=study.revision)

    def take_due(self, peer: str, *, latest: datetime | None = None) -> FetchTask | None:
        """Begin the search at a PACS that is due for longest, or put off beyond `latest` (`is_due`); None when none is due."""
        # The look every second takes nobody's turn to write.
        with reading(self._engine) as connection:
            if fetches.next_due(connection, peer=peer, at=self._now(), latest=latest) is None:
                return None
        with writing(self._engine) as connection:
            task = fetches.next_due(connection, peer=peer, at=self._now(), latest=latest)
            if task is None:
                return None
            values = {"state": FetchState.RUNNING, "tries": task.tries}
            connection.execute(update(PriorFetch).where(PriorFetch.id == task.fetch_id).values(**values))
            own, *merged = sought_patients(connection, task.study_instance_uid)
            return replace(task, patient=own.patient, waivers=own.waivers, merged=tuple(merged))

    def release_running(self, peer: str) -> None:
        """Let searches at a PACS that a worker began and did not end be begun again."""
        running = select(PriorFetch.id).where(PriorFetch.state == FetchState.RUNNING, PriorFetch.peer == peer)
        values = {"state": FetchState.WAITING, "next_try_at": self._now(), "words": INTERRUPTED}
        with writing(self._engine) as connection:
            ids = list(connection.execute(running).scalars())
            connection.execute(
                update(FoundPrior)
                .where(FoundPrior.fetch_id.in_(ids), FoundPrior.state == FoundState.FETCHING)
                .values(state=FoundState.FAILED, words=INTERRUPTED)
            )
            connection.execute(update(PriorFetch).where(PriorFetch.id.in_(ids)).values(**values))

    def note_found(self, fetch_id: int, found: Sequence[FoundPriorView]) -> None:
        """Write down what became of earlier studies that the PACS named."""
        with writing(self._engine) as connection:
            for one in found:
                fetch_steps.note_found(connection, fetch_id, one, at=self._now())

    def end_retrieval(self, fetch_id: int, found: FoundPriorView, *, rerun_when_late: bool) -> None:
        """Write down how a retrieval ended; a study that is whole becomes one to compare with."""
        with writing(self._engine) as connection:
            fetch_steps.end_retrieval(connection, fetch_id, found, at=self._now(), rerun_when_late=rerun_when_late)

    def keep_as_fetched(self, study_instance_uid: str, *, is_whole: bool) -> bool:
        """Say that a study, taken in anew from its files, is one that was fetched, whole or in part, to be compared with.

        Returns:
            False where the index has no such study.
        """
        with writing(self._engine) as connection:
            return fetch_steps.keep_as_fetched(connection, study_instance_uid, is_whole=is_whole, at=self._now())

    def postpone(self, fetch_id: int, words: str, *, next_try_at: datetime) -> None:
        """The try failed; another follows."""
        values = {"state": FetchState.WAITING, "words": words, "next_try_at": next_try_at}
        with writing(self._engine) as connection:
            connection.execute(update(PriorFetch).where(PriorFetch.id == fetch_id).values(**values))

    def settle(self, fetch_id: int, state: FetchState, words: str) -> None:
        """The search is over."""
        with writing(self._engine) as connection:
            values = {"state": state, "words": words, "settled_at": self._now()}
            connection.execute(update(PriorFetch).where(PriorFetch.id == fetch_id).values(**values))

    def end_strays(self, *, quiet_s: float) -> None:
        """Put away fetched studies for which images came after their retrieval had ended."""
        with reading(self._engine) as connection:
            if not fetch_steps.strays(connection, quiet_s=quiet_s, at=self._now()):
                return
        with writing(self._engine) as connection:
            fetch_steps.end_strays(connection, quiet_s=quiet_s, at=self._now())

    def rerun_late(self) -> tuple[str, ...]:
        """Run studies again for which an earlier one came too late; returns their Study Instance UIDs."""
        with reading(self._engine) as connection:
            if not fetch_steps.has_rerun_due(connection):
                return ()
        with writing(self._engine) as connection:
            return fetch_steps.rerun_late(connection, at=self._now())

    def held(self, study_instance_uid: str) -> HeldStudy | None:
        """What the node has of a study; None for nothing."""
        with reading(self._engine) as connection:
            return fetches.held_study(connection, study_instance_uid)
