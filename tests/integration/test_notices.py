"""Notices of what a study consists of, over the network, from friends and from others."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.association import Association

from builders.instances import ct_instance
from builders.listener import RunningListener, association, listener_settings, running_listener, send
from dicom_node.clock import SystemClock
from dicom_node.listen.notices import NOTICE_CLASSES
from storage.database import open_engine
from storage.evidence_records import NoticeHoldings
from storage.index import Index

IAN, MPPS = NOTICE_CLASSES
STUDY = "1.2.3.4"
UID = str(ct_instance(1).SOPInstanceUID)
CONTEXTS = [(uid, [ExplicitVRLittleEndian]) for uid in NOTICE_CLASSES]


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One listener for all of it."""
    with running_listener(listener_settings(tmp_path_factory.mktemp("data"), accept_notifications=True)) as running:
        yield running


@contextmanager
def opened(listener: RunningListener) -> Iterator[Association]:
    """An association for notices."""
    with association(listener.port, CONTEXTS) as one:
        assert one.is_established
        yield one


def items(*uids: str) -> list[Dataset]:
    """References to CT images."""
    made = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
        made.append(item)
    return made


def notification(*uids: str, study: str = STUDY) -> Dataset:
    """PS3.4 table R.3.2-1."""
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = f"{study}.1", items(*uids)
    dataset = Dataset()
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.StudyInstanceUID, dataset.ReferencedSeriesSequence = study, [series]
    return dataset


def step_begun(study: str) -> Dataset:
    """PS3.4 table F.7.2-1, in progress."""
    scheduled = Dataset()
    scheduled.StudyInstanceUID = study
    dataset = Dataset()
    dataset.ScheduledStepAttributesSequence, dataset.PerformedSeriesSequence = [scheduled], []
    dataset.PerformedProcedureStepStatus = "IN PROGRESS"
    return dataset


def step_ended(*uids: str) -> Dataset:
    """What it made."""
    series = Dataset()
    series.ReferencedImageSequence = items(*uids)
    dataset = Dataset()
    dataset.PerformedProcedureStepStatus, dataset.PerformedSeriesSequence = "COMPLETED", [series]
    return dataset


def holdings(listener: RunningListener, study: str = STUDY) -> tuple[NoticeHoldings, ...]:
    """How much of what was named is here."""
    with closing(Index(open_engine(listener.settings.database_url), now=SystemClock().now)) as index:
        return index.notice_holdings(study)


def created(one: Association, dataset: Dataset | None, *, sop_class: str, uid: str | None) -> int:
    """Status of an N-CREATE; -1 for none."""
    return int(one.send_n_create(dataset, sop_class, uid)[0].get("Status", -1))


def changed(one: Association, dataset: Dataset, uid: str) -> int:
    """Status of an N-SET; -1 for none."""
    return int(one.send_n_set(dataset, MPPS, uid)[0].get("Status", -1))


def test_a_notification_is_compared_with_what_is_here(listener: RunningListener) -> None:
    """One of the two instances that it names came."""
    assert send(listener.port, ct_instance(1)) == [0]
    with opened(listener) as one:
        assert created(one, notification(UID, "1.2.3.99"), sop_class=IAN, uid="5.1") == 0x0000
    assert holdings(listener) == (NoticeHoldings(kind="ian", is_final=True, named_count=2, missing_count=1),)


def test_a_procedure_step_is_followed_to_its_end(listener: RunningListener) -> None:
    """In progress first, then with what it made; afterwards nothing changes it."""
    with opened(listener) as one:
        assert created(one, step_begun("1.2.5"), sop_class=MPPS, uid="5.2") == 0x0000
        assert [held.is_final for held in holdings(listener, "1.2.5")] == [False]
        assert changed(one, step_ended("1.1", "1.2", "1.3"), "5.2") == 0x0000
        assert changed(one, step_ended("1.1"), "5.2") == 0x0110
        assert created(one, step_begun("1.2.5"), sop_class=MPPS, uid="5.2") == 0x0111
    assert holdings(listener, "1.2.5") == (NoticeHoldings(kind="mpps", is_final=True, named_count=3, missing_count=3),)


def test_whatever_is_wrong_is_answered_with_a_status(listener: RunningListener) -> None:
    """On one association, which is none the worse for it."""
    nested = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.ReferencedSeriesSequence = [nested]
        nested = outer
    nested.StudyInstanceUID = STUDY
    many = notification(*(f"1.{number}" for number in range(20_001)))
    no_study = notification("1.1")
    no_study.StudyInstanceUID = ""
    with opened(listener) as one:
        assert changed(one, step_ended("1.1"), "5.404") == 0x0112
        assert created(one, notification("1.1"), sop_class=IAN, uid=None) == 0x0117
        assert created(one, None, sop_class=IAN, uid="6.1") == 0x0120
        assert created(one, no_study, sop_class=IAN, uid="6.2") == 0x0120
        assert created(one, step_ended("1.1"), sop_class=MPPS, uid="6.3") == 0x0120
        assert created(one, many, sop_class=IAN, uid="6.4") == 0x0213
        assert created(one, nested, sop_class=IAN, uid="6.5") in {0x0000, 0x0110, 0x0120}
        assert created(one, notification("1.1", study="1.2.6"), sop_class=IAN, uid="6.6") == 0x0000
    assert holdings(listener, "1.2.6")


def test_a_notice_that_never_ends_is_cut(listener: RunningListener) -> None:
    """More than four MiB are no list of references; the listener goes on."""
    endless = notification("1.1")
    endless.add_new(0x00091010, "OB", b"x" * 5_000_000)
    with opened(listener) as one:
        assert created(one, endless, sop_class=IAN, uid="6.7") == -1
    with opened(listener) as one:
        assert created(one, notification("1.1"), sop_class=IAN, uid="6.8") == 0x0000


def test_notices_are_not_taken_unless_that_is_switched_on(tmp_path: Path) -> None:
    """By default the SOP classes are refused in the negotiation."""
    with running_listener(listener_settings(tmp_path)) as running, association(running.port, CONTEXTS) as one:
        assert not one.accepted_contexts
