"""What is deleted when, what never is, and that no crash leaves half of a study."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
from sqlalchemy import Engine, text

from builders.clock import FakeClock
from builders.index import NOON, SR, build_index, claim, database_url, dicom_file, make_ready, received, to
from config.retention import RetentionSettings
from config.settings import NodeSettings, Settings
from dicom_node.audit.events import AuditEvent, Outcome, Party, StudyDeleted
from dicom_node.retention import FOR_SPACE, Retention
from dicom_node.retention_report import Removed, read_report
from storage.database import open_engine, reading
from storage.files import ResultStore
from storage.index import Index
from storage.lifecycle import Event, State
from storage.patient_index import PatientIndex
from storage.records import PatientKey, ReceivedInstance
from storage.removals import remove_files
from storage.verifying import verify

DAY_S = 86_400


class Events:
    """A trail that only remembers."""

    def __init__(self) -> None:
        """Nothing happened."""
        self.seen: list[AuditEvent] = []

    def record(self, event: AuditEvent, *, outcome: Outcome = Outcome.SUCCESS, words: str = "") -> None:
        """Remember."""
        del outcome, words
        self.seen.append(event)


class Node:
    """An index with files, and the rules for it."""

    def __init__(self, folder: Path) -> None:
        """Empty."""
        self.folder = folder
        self.clock = FakeClock()
        self.index: Index = build_index(folder, self.clock)
        self.engine: Engine = open_engine(database_url(folder))
        self.events = Events()

    def study(
        self, uid: str, *, count: int = 2, patient: str = "", end: State = State.SKIPPED
    ) -> list[ReceivedInstance]:
        """A study of a patient of its own, with its files, that ended so."""
        who = PatientKey(patient_id=patient or uid, issuer="")
        instances = [
            replace(received(uid, number, patient=who), received_at=self.clock.now()) for number in range(1, count + 1)
        ]
        self.index.record_received(instances)
        for instance in instances:
            self.write(instance)
        if end is State.SKIPPED:
            self.index.apply(uid, Event.DISCARDED, why="for the test")
        elif end is not State.RECEIVING:
            self.process(uid, end)
        return instances

    def write(self, instance: ReceivedInstance) -> Path:
        """The file of an instance."""
        path = self.folder / instance.relative_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{instance.sop_instance_uid} ".encode())
        os.utime(path, (instance.received_at.timestamp(),) * 2)
        return path

    def process(self, uid: str, end: State) -> None:
        """Run a study to its end."""
        make_ready(self.index, uid)
        taken = claim(self.index)
        if end is State.PIPELINE_FAILED:
            self.index.finish_failed(taken, "broken", retryable=False, maximum_attempts=1)
            return
        folder = ResultStore(self.folder).folder_of(uid) / "r1"
        folder.mkdir(parents=True)
        (folder / "sr.dcm").write_bytes(b"report")
        file = replace(dicom_file("sr", SR, f"2.25.{uid.rpartition('.')[2]}"), path=folder / "sr.dcm")
        self.index.finish_succeeded(taken, [file], destinations=to("pacs"), why="1 lesion")
        (due,) = [
            one for one in self.index.due_deliveries(destination="pacs", limit=9) if one.study_instance_uid == uid
        ]
        if end is State.DELIVERED:
            self.index.delivery_succeeded(due.delivery_id, "0x0000")
        elif end is State.DELIVERY_FAILED:
            self.index.delivery_gave_up(due.delivery_id, "0xA700")

    def retention(self, **rules: float) -> Retention:
        """By these rules."""
        settings = Settings(node=NodeSettings(data_dir=self.folder), retention=RetentionSettings.model_validate(rules))
        return Retention(settings, self.engine, clock=self.clock, trail=self.events, by=Party(user_id="WORK"))

    def uids(self) -> set[str]:
        """Studies that are there."""
        return {view.study_instance_uid for view in self.index.find_studies()}

    def files(self) -> list[str]:
        """What lies in the data folder beside the index and the folders themselves."""
        kept = ("objects", "results", "removed")
        return sorted(
            str(p.relative_to(self.folder)) for k in kept for p in (self.folder / k).rglob("*") if p.is_file()
        )

    def rows(self) -> dict[str, int]:
        """Rows of each table that holds something of studies."""
        tables = ("study", "series", "instance", "patient", "history", "attempt", "result", "result_file", "delivery")
        with reading(self.engine) as connection:
            return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A fresh one."""
    return Node(tmp_path)


def deleted(retention: Retention) -> Sequence[str]:
    """What the rules would delete."""
    return [decision.study.study_instance_uid for decision in retention.decisions() if decision.is_deleted]


def test_by_default_nothing_is_deleted(node: Node) -> None:
    """Not after a hundred years either."""
    node.study("1.2.1", end=State.DELIVERED)
    node.clock.advance(36_525 * DAY_S)
    assert node.retention().run() == 0
    assert node.uids() == {"1.2.1"}


def test_an_old_study_goes_with_its_rows_files_and_patient(node: Node) -> None:
    """Nothing of it stays but what the audit trail says."""
    before = node.rows()
    node.study("1.2.1", end=State.DELIVERED)
    node.clock.advance(8 * DAY_S)
    node.study("1.2.2", end=State.DELIVERED)
    node.clock.advance(2 * DAY_S)
    assert node.retention(days=9).run() == 1
    assert node.uids() == {"1.2.2"}
    assert len(node.files()) == 3
    node.clock.advance(8 * DAY_S)
    assert node.retention(days=9).run() == 1
    assert node.rows() == before
    assert node.files() == []
    first, _ = node.events.seen
    assert isinstance(first, StudyDeleted)
    assert (first.study.study_instance_uid, first.what) == ("1.2.1", "older than [retention].days = 9")
    assert first.study.patient is not None
    assert first.study.patient.patient_id == "1.2.1"
    with reading(node.engine) as connection:
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        assert connection.execute(text("SELECT count(*) FROM removal")).scalar_one() == 0


def test_what_is_on_its_way_or_not_delivered_is_never_deleted(node: Node) -> None:
    """Whatever the rules and the disk say."""
    node.study("1.2.1", end=State.RECEIVING)
    node.study("1.2.3", end=State.PROCESSED)
    node.clock.advance(1000 * DAY_S)
    retention = node.retention(days=1, failed_days=1, free_below_bytes=2**60, free_until_bytes=2**60)
    assert retention.run() == 0
    (decision,) = retention.decisions()
    assert decision.study.study_instance_uid == "1.2.3"
    assert "not everything" in decision.why


def test_what_a_study_on_its_way_may_be_compared_with_stays(node: Node) -> None:
    """Also under another ID that was merged, until that study is done."""
    node.study("1.2.1", patient="P", end=State.DELIVERED)
    node.study("1.2.2", patient="Q", end=State.DELIVERED)
    node.clock.advance(10 * DAY_S)
    node.study("1.2.3", patient="P", end=State.RECEIVING)
    assert deleted(node.retention(days=1)) == ["1.2.2"]
    keys = {name: PatientKey(patient_id=name, issuer="") for name in "PQ"}
    PatientIndex(node.engine, now=node.clock.now, by="ann").merge(keys["P"], keys["Q"], although_contradicting=False)
    assert deleted(node.retention(days=1)) == []
    node.index.apply("1.2.3", Event.DISCARDED, why="done")
    assert deleted(node.retention(days=1)) == ["1.2.1", "1.2.2"]


def test_failed_studies_have_their_own_time_and_stay_when_the_disk_is_full(node: Node) -> None:
    """Somebody may want to look at them."""
    node.study("1.2.1", end=State.PIPELINE_FAILED)
    node.study("1.2.2", end=State.DELIVERY_FAILED)
    node.clock.advance(10 * DAY_S)
    assert deleted(node.retention(days=1, free_below_bytes=2**60, free_until_bytes=2**60)) == []
    assert deleted(node.retention(failed_days=9)) == ["1.2.1", "1.2.2"]


def test_for_want_of_space_the_oldest_go_until_enough_is_free(node: Node) -> None:
    """Nothing that is younger than keep_at_least_hours; the results of a study make room too."""
    for number in range(1, 5):
        node.study(f"1.2.{number}", end=State.DELIVERED)
        node.clock.advance(3600)
    node.clock.advance(22 * 3600)
    with mock.patch("dicom_node.retention.free_bytes_of", return_value=5000):
        rules = {"free_below_bytes": 5001, "free_until_bytes": 8000}
        decisions = {decision.study.study_instance_uid: decision for decision in node.retention(**rules).decisions()}
        assert [uid for uid, decision in decisions.items() if decision.is_deleted] == ["1.2.1", "1.2.2"]
        assert decisions["1.2.1"].why == FOR_SPACE
        assert "1.2.4" not in decisions
        (ResultStore(node.folder).folder_of("1.2.1") / "r1" / "sr.dcm").write_bytes(bytes(1000))
        assert deleted(node.retention(**rules)) == ["1.2.1"]
        assert deleted(node.retention(free_below_bytes=4999, free_until_bytes=8000)) == []


def test_a_crash_between_rows_and_files_leaves_the_files_to_the_next_run(node: Node) -> None:
    """No check calls them lost or unknown meanwhile, and they are not taken for received ones."""
    node.study("1.2.1", end=State.DELIVERED)
    node.clock.advance(10 * DAY_S)
    with (
        mock.patch("dicom_node.retention.remove_files", side_effect=[0, KeyboardInterrupt]),
        pytest.raises(KeyboardInterrupt),
    ):
        node.retention(days=1).run()
    assert node.uids() == set()
    assert len(node.files()) == 3
    report = verify(node.engine, node.folder)
    assert report.passed
    assert report.unindexed == ()
    assert node.retention(days=1).run() == 0
    assert node.files() == []


def test_a_study_that_comes_again_keeps_its_new_files(node: Node) -> None:
    """The same bytes under the same name are another file: with a row, or with one that is still to come."""
    first, second = node.study("1.2.1", end=State.DELIVERED)
    node.clock.advance(10 * DAY_S)
    with mock.patch("dicom_node.retention.remove_files", return_value=0):
        assert node.retention(days=1).run() == 1
    for instance in (first, second):
        path = node.folder / instance.relative_path
        part = path.with_suffix(".part")
        part.write_bytes(b"came again")
        part.rename(path)
    node.index.record_received([first])
    remove_files(node.engine, node.folder, now=node.clock.now)
    assert sorted(path for path in node.files() if path.startswith("objects")) == sorted(
        [first.relative_path, second.relative_path]
    )
    node.index.record_received([second])
    node.clock.advance(700)
    remove_files(node.engine, node.folder, now=node.clock.now)
    assert verify(node.engine, node.folder).missing == ()


def test_a_file_that_came_again_and_never_got_its_row_goes_in_the_end(node: Node) -> None:
    """Its sender was never told Success."""
    first, _ = node.study("1.2.1", end=State.DELIVERED)
    node.clock.advance(10 * DAY_S)
    with mock.patch("dicom_node.retention.remove_files", return_value=0):
        node.retention(days=1).run()
    path = node.folder / first.relative_path
    path.with_suffix(".part").write_bytes(b"came again")
    path.with_suffix(".part").rename(path)
    remove_files(node.engine, node.folder, now=node.clock.now)
    assert node.files() == [first.relative_path]
    node.clock.advance(700)
    remove_files(node.engine, node.folder, now=node.clock.now)
    assert node.files() == []


def test_what_a_process_had_moved_aside_is_put_back_first(node: Node) -> None:
    """It may be a file that had arrived anew."""
    first, _ = node.study("1.2.1")
    path = node.folder / first.relative_path
    aside = node.folder / "removed"
    aside.mkdir()
    path.rename(aside / first.relative_path.replace("/", "%"))
    remove_files(node.engine, node.folder, now=node.clock.now)
    assert path.is_file()


def test_a_study_to_which_something_happened_since_it_was_listed_stays(node: Node) -> None:
    """A slice came in the moment before."""
    node.study("1.2.1", end=State.DELIVERED)
    node.clock.advance(10 * DAY_S)
    retention = node.retention(days=1)
    (decision,) = retention.decisions()
    who = PatientKey(patient_id="1.2.1", issuer="")
    node.index.record_received([replace(received("1.2.1", 9, patient=who), received_at=NOON + timedelta(days=10))])
    assert not retention._delete(decision)
    assert node.uids() == {"1.2.1"}
    assert node.events.seen == []


def test_the_outlook_says_what_goes_now_what_soon_and_what_is_kept(node: Node) -> None:
    """By the rule of each study; the oldest is named."""
    node.study("1.2.1", end=State.DELIVERED)
    node.study("1.2.2", end=State.PIPELINE_FAILED)
    node.clock.advance(5 * DAY_S)
    node.study("1.2.3", end=State.DELIVERED)
    node.study("1.2.4", end=State.PROCESSED)
    node.clock.advance(20 * DAY_S)
    node.study("1.2.5", end=State.DELIVERED)
    outlook = node.retention(days=24).outlook()
    assert (outlook.due.studies, outlook.due.first_study_instance_uid, outlook.due.oldest_at) == (1, "1.2.1", NOON)
    assert (outlook.soon.studies, outlook.soon.first_study_instance_uid, outlook.soon_days) == (1, "1.2.3", 7)
    assert (outlook.kept, outlook.missing_bytes) == (1, 0)
    assert node.retention(days=24, failed_days=24).outlook().due.studies == 2
    assert node.retention(days=24).outlook(days=25).soon.studies == 2
    nothing = node.retention(free_below_bytes=2**60, free_until_bytes=2**61).outlook()
    assert (nothing.due.studies, nothing.soon.studies, nothing.missing_bytes > 2**60) == (0, 0, True)


def test_a_run_leaves_what_it_did_and_what_comes_next(node: Node) -> None:
    """What was deleted last stays there when the next run deletes nothing, or the rules are off."""
    node.study("1.2.1", end=State.DELIVERED)
    node.retention().run()
    assert read_report(node.folder) is None
    node.clock.advance(10 * DAY_S)
    node.study("1.2.2", end=State.DELIVERED)
    deleted_at = node.clock.now()
    assert node.retention(days=9).run() == 1
    node.clock.advance(3 * DAY_S)
    for rules in ({"days": 9}, {}):
        node.retention(**rules).run()
        report = read_report(node.folder)
        assert report is not None
        assert report.last == Removed(at=deleted_at, studies=1, size_bytes=2000 + len(b"report"))
    node.retention(days=9).run()
    assert (report.outlook.due.studies, read_report(node.folder).outlook.soon.studies) == (0, 1)


def test_a_run_without_rules_reads_no_study(node: Node) -> None:
    """With rules of age none that is younger: the index may have a hundred thousand."""
    node.study("1.2.1", end=State.DELIVERED)
    node.clock.advance(8 * DAY_S)
    with mock.patch("dicom_node.retention.old_studies", return_value=()) as asked:
        node.retention().run()
        assert asked.mock_calls == []
        node.retention(days=9, failed_days=30).run()
    assert {call.kwargs["before"] for call in asked.mock_calls} == {NOON - timedelta(days=1), NOON + timedelta(days=6)}
