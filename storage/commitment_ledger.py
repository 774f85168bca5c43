"""One object for everything that the node knows about storage commitment."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from storage import commitment_reports, commitment_steps, inquiries
from storage.commitment_records import (
    CommitmentCounts,
    CommitmentReport,
    CommitmentTask,
    Inquiry,
    InquiryOutcome,
    InquiryState,
    KeptCopy,
    Reference,
    ReportOutcome,
)
from storage.database import reading, writing


class CommitmentLedger:
    """What destinations keep of our results, what callers ask us; every method is one transaction."""

    def __init__(self, engine: Engine, *, now: Callable[[], datetime]) -> None:
        """Use the database of the engine."""
        self._engine = engine
        self._now = now

    def plan(self, destination: str, *, since: datetime) -> None:
        """Plan to ask for every object delivered since then, once nothing of its study waits to be sent there."""
        # The look every second takes nobody's turn to write.
        with reading(self._engine) as connection:
            if not commitment_steps.has_unasked(connection, destination, since=since):
                return
        with writing(self._engine) as connection:
            commitment_steps.plan(connection, destination, since=since, at=self._now())

    def give_up_waiting(self, destination: str, *, planned_before: datetime) -> None:
        """Say of what was planned before then that it was never confirmed; the deliveries stay delivered."""
        with reading(self._engine) as connection:
            if not commitment_steps.has_overdue(connection, destination, planned_before=planned_before):
                return
        with writing(self._engine) as connection:
            commitment_steps.give_up_waiting(connection, destination, planned_before=planned_before, at=self._now())

    def next_due(self, destination: str, *, latest: datetime | None = None) -> CommitmentTask | None:
        """What the destination is to be asked now, also what was put off beyond `latest` (`is_due`); None for nothing."""
        with reading(self._engine) as connection:
            return commitment_steps.next_due(connection, destination, at=self._now(), latest=latest)

    def begin(self, commitment_id: int, transaction_uid: str, *, next_try_at: datetime) -> None:
        """Say that the destination is being asked; its report may come from now on, also after a restart."""
        with writing(self._engine) as connection:
            commitment_steps.begin(connection, commitment_id, transaction_uid, next_try_at=next_try_at, at=self._now())

    def note_asked(self, commitment_id: int) -> None:
        """The destination took the question."""
        with writing(self._engine) as connection:
            commitment_steps.note_asked(connection, commitment_id)

    def postpone(self, commitment_id: int, words: str, *, next_try_at: datetime) -> None:
        """The destination could not be asked; it is tried again."""
        with writing(self._engine) as connection:
            commitment_steps.postpone(connection, commitment_id, words, next_try_at=next_try_at)

    def take_back(self, commitment_id: int) -> None:
        """Say that the destination did not come to answer; it is asked again as soon as somebody asks."""
        with writing(self._engine) as connection:
            commitment_steps.take_back(connection, commitment_id, at=self._now())

    def settle(self, commitment_id: int) -> None:
        """Nothing of this result is to be asked for any more."""
        with writing(self._engine) as connection:
            commitment_steps.settle(connection, commitment_id)

    def note_report(
        self, report: CommitmentReport, *, destinations: Collection[str], maximum_resends: int
    ) -> ReportOutcome:
        """Write down what a destination reported; what it does not keep is sent again, or failed."""
        with writing(self._engine) as connection:
            return commitment_reports.note_report(
                connection, report, destinations=destinations, maximum_resends=maximum_resends, at=self._now()
            )

    def is_reported(self, transaction_uid: str) -> bool:
        """Whether the report of this transaction came."""
        with reading(self._engine) as connection:
            return commitment_reports.is_reported(connection, transaction_uid)

    def counts_of(self, destination: str) -> CommitmentCounts:
        """How many objects of the destination are not committed."""
        with reading(self._engine) as connection:
            return commitment_steps.counts_of(connection, destination)

    def ask(self, calling_aet: str, transaction_uid: str, references: Sequence[Reference]) -> InquiryOutcome:
        """Keep what a caller asks for, to be answered soon; the same question may come again."""
        with writing(self._engine) as connection:
            return inquiries.ask(connection, calling_aet, transaction_uid, references, at=self._now())

    def take_inquiry(self, *, held_for: timedelta, latest: datetime | None = None) -> Inquiry | None:
        """The inquiry that is to be answered now, longest due first, or put off beyond `latest` (`is_due`); None for none.

        Nobody else gets it before it is over or so much time went by.
        """
        at = self._now()
        with reading(self._engine) as connection:
            if inquiries.next_due(connection, at=at, latest=latest) is None:
                return None
        with writing(self._engine) as connection:
            inquiry = inquiries.next_due(connection, at=at, latest=latest)
            if inquiry:
                inquiries.hold(connection, inquiry.inquiry_id, until=at + held_for)
            return inquiry

    def claim_inquiry(self, calling_aet: str, transaction_uid: str, *, until: datetime) -> Inquiry | None:
        """An inquiry that nobody has tried to answer yet, for whoever answers it until then; None where there is none."""
        with writing(self._engine) as connection:
            return inquiries.claim(connection, calling_aet, transaction_uid, until=until)

    def copies_of(self, sop_instance_uids: Sequence[str]) -> dict[str, tuple[KeptCopy, ...]]:
        """Every stored copy of each of these instances; nothing for one that is not here."""
        with reading(self._engine) as connection:
            return inquiries.copies_of(connection, sop_instance_uids)

    def postpone_inquiry(self, inquiry: Inquiry, *, next_try_at: datetime) -> None:
        """The report could not be brought; it is tried again. Nothing where it was asked anew since it was taken."""
        with writing(self._engine) as connection:
            inquiries.postpone(connection, inquiry, next_try_at=next_try_at)

    def postpone_inquiries(
        self, calling_aets: Collection[str], *, spare: Collection[str], next_try_at: datetime
    ) -> None:
        """The caller could not be reached: what it asked waits together, but for transactions answered otherwise."""
        with writing(self._engine) as connection:
            inquiries.postpone_all(connection, calling_aets, spare=spare, next_try_at=next_try_at, at=self._now())

    def end_inquiry(self, inquiry: Inquiry, state: InquiryState) -> bool:
        """The report was taken, or is no longer tried to be brought; False where it was asked anew since it was taken."""
        with writing(self._engine) as connection:
            return inquiries.end(connection, inquiry, state, at=self._now())
