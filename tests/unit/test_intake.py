"""Group commit: many objects, one wait for the disk, no answer before it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from builders.clock import FakeClock
from builders.deadline import until
from builders.index import JANE, build_index, received
from dicom_node.listen.intake import Intake
from storage.errors import DiskFullError, IndexBusyError, IndexFailedError, StorageError
from storage.files import ObjectStore
from storage.identity import MAXIMUM_KEY_BYTES, fits_index
from storage.records import PatientKey, Recorded


@dataclass
class FakeStorage:
    """Store and index in one that remember what they were asked, in order; parts and rows are plain words."""

    gate: Event = field(default_factory=Event)
    steps: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    store_failures: dict[str, Exception] = field(default_factory=dict)
    """By part."""
    index_failure: Exception | None = None
    refused: frozenset[str] = frozenset()
    """Rows that the database does not take."""

    def commit(self, part: str) -> str:
        """Put it into its place."""
        self.steps.append(("commit", (part,)))
        if part in self.store_failures:
            raise self.store_failures[part]
        return part

    def record_received(self, batch: Sequence[str]) -> tuple[Recorded, ...]:
        """Wait for the gate, as for a disk; answer for each."""
        self.steps.append(("record", tuple(batch)))
        assert self.gate.wait(10)
        if self.index_failure:
            raise self.index_failure
        if self.refused & set(batch):
            raise IndexFailedError
        return tuple(Recorded.NEW for _ in batch)

    def recorded(self) -> list[list[str]]:
        """The batches of rows."""
        return [sorted(words) for step, words in self.steps if step == "record"]


@pytest.fixture
def storage() -> FakeStorage:
    """Storage whose disk is at rest."""
    fake = FakeStorage()
    fake.gate.set()
    return fake


def intake_of(storage: Any) -> Intake:
    """An intake over the fake."""
    return Intake(storage, storage)


def row(word: Any) -> Any:
    """A part's row is the part's word."""
    return word


def test_answer_comes_after_file_and_row(storage: FakeStorage) -> None:
    """First the files, then the rows, then the answer."""
    assert intake_of(storage).keep("a", row) is Recorded.NEW
    assert storage.steps == [("commit", ("a",)), ("record", ("a",))]


def test_objects_that_wait_share_the_next_commit(storage: FakeStorage) -> None:
    """While the first row is on its way to the disk, the others gather."""
    storage.gate.clear()
    intake = intake_of(storage)
    with ThreadPoolExecutor(4) as senders:
        first = senders.submit(intake.keep, "a", row)
        until(storage.recorded, within_s=10, what="the first commit has begun")
        others = [senders.submit(intake.keep, word, row) for word in "bcd"]
        until(lambda: len(intake._waiting) == 3, within_s=10, what="three wait")
        storage.gate.set()
        assert [future.result(10) for future in (first, *others)] == [Recorded.NEW] * 4
    assert storage.recorded() == [["a"], ["b", "c", "d"]]


def test_full_disk_refuses_what_does_not_fit_and_writes_no_row(storage: FakeStorage) -> None:
    """No row without its file; what another association brings at the same time is kept."""
    storage.store_failures["a"] = DiskFullError("ENOSPC")
    intake = intake_of(storage)
    with ThreadPoolExecutor(2) as senders:
        refused, kept = senders.submit(intake.keep, "a", row), senders.submit(intake.keep, "b", row)
        assert isinstance(refused.exception(10), DiskFullError)
        assert kept.result(10) is Recorded.NEW
    assert storage.recorded() == [["b"]]


def test_failing_index_is_no_success_and_the_next_object_may_succeed(storage: FakeStorage) -> None:
    """A batch that failed blocks nothing after it."""
    intake = intake_of(storage)
    storage.index_failure = IndexBusyError("")
    with pytest.raises(IndexBusyError):
        intake.keep("a", row)
    storage.index_failure = None
    assert intake.keep("b", row) is Recorded.NEW


def kept_together(intake: Intake, rows: Sequence[Any]) -> list[Recorded | BaseException | None]:
    """What each association hears of rows that share a commit."""
    with ThreadPoolExecutor(len(rows)) as senders:
        with intake._turn:
            futures = [senders.submit(intake.keep, "part", lambda _, made=made: made) for made in rows]
            until(lambda: len(intake._waiting) == len(rows), within_s=10, what="all wait")
        return [future.exception(10) or future.result() for future in futures]


def test_a_row_that_the_database_refuses_harms_no_other(storage: FakeStorage) -> None:
    """The batch is divided; its others are on disk when they are answered, and nothing is committed twice."""
    storage.refused = frozenset("d")
    *others, refused = kept_together(intake_of(storage), "abcefghd")
    assert isinstance(refused, IndexFailedError)
    assert others == [Recorded.NEW] * 7
    committed = [words for words in storage.recorded() if "d" not in words]
    assert sorted(word for words in committed for word in words) == list("abcefgh")
    assert len(storage.recorded()) == 7


def test_a_database_in_trouble_is_not_asked_again_for_each_row(
    storage: FakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not refused at once would keep everybody waiting."""
    monkeypatch.setattr("dicom_node.listen.intake._REFUSED_WITHIN_S", 0.0)
    storage.index_failure = IndexFailedError()
    assert all(isinstance(answer, IndexFailedError) for answer in kept_together(intake_of(storage), "abcd"))
    assert len(storage.recorded()) == 1


def test_an_id_that_no_index_entry_holds_harms_no_other(storage: FakeStorage, each_engine: str, tmp_path: Path) -> None:
    """PostgreSQL refuses it; one that fits is taken by every engine."""
    texts = [
        "".join(chr(0x4E00 + (number * number * 31 + start) % 20_000) for number in range(1024)) for start in (0, 7)
    ]
    longest = [text.encode()[:MAXIMUM_KEY_BYTES].decode(errors="ignore") for text in texts]
    keys = [PatientKey(patient_id=one, issuer=other) for one, other in (texts, longest)]
    assert list(map(fits_index, keys)) == [False, True]
    rows = [received(f"1.{number}", patient=key) for number, key in enumerate([*keys, JANE])]
    index = build_index(tmp_path, FakeClock())
    first, *others = kept_together(Intake(cast("ObjectStore", storage), index), rows)
    assert isinstance(first, IndexFailedError) if each_engine == "postgresql" else first is Recorded.NEW
    assert others == [Recorded.NEW] * 2
    assert index.study("1.2") is not None
    index.close()


def test_defect_answers_everybody_who_waits(storage: FakeStorage) -> None:
    """A bug while committing for others leaves nobody waiting."""
    storage.gate.clear()
    storage.index_failure = ZeroDivisionError()
    intake = intake_of(storage)
    with ThreadPoolExecutor(3) as senders:
        futures = [senders.submit(intake.keep, word, row) for word in "abc"]
        until(lambda: len(storage.recorded()) + len(intake._waiting) >= 3, within_s=10, what="all wait")
        storage.gate.set()
        failures = [future.exception(10) for future in futures]
    assert all(isinstance(failure, ZeroDivisionError | StorageError) for failure in failures)
