"""Objects that are no CT images never start work."""

from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import (
    SR,
    build_index,
    claim,
    claimed_study,
    make_ready,
    received,
    result_files,
    state_of,
    to,
    view_of,
)
from dicom_node.unread import without_ct_images
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import ReceivedInstance, Recorded

pytestmark = pytest.mark.usefixtures("each_engine")

OTHER_OBJECTS = {
    "SR": SR,
    "SEG": "1.2.840.10008.5.1.4.1.1.66.4",
    "PR": "1.2.840.10008.5.1.4.1.1.11.1",
    "KO": "1.2.840.10008.5.1.4.1.1.88.59",
    "DOC": "1.2.840.10008.5.1.4.1.1.104.1",
    "OT": "1.2.840.10008.5.1.4.1.1.7",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
"""A SOP class of each modality (PS3.4 B.5)."""


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An empty index."""
    return build_index(tmp_path, FakeClock())


def other(modality: str, number: int = 50, **changes: object) -> ReceivedInstance:
    """An object of another software in Jane's study."""
    return received(
        number=number,
        sop_class_uid=OTHER_OBJECTS[modality],
        modality=modality,
        series_instance_uid=f"1.2.3.{number}",
        **changes,
    )


@pytest.mark.parametrize("modality", OTHER_OBJECTS)
def test_an_object_that_is_no_ct_image_opens_no_study_again(index: Index, modality: str) -> None:
    """It is kept and shown in the delivered study, which stays delivered."""
    index.finish_succeeded(claimed_study(index), result_files(), destinations=to("PACS"), why="fine")
    (delivery,) = index.due_deliveries(destination="PACS", limit=9)
    index.delivery_succeeded(delivery.delivery_id, "0x0000")
    before = view_of(index)
    assert index.record_received([other(modality)]) == (Recorded.NEW,)
    after = view_of(index)
    assert (after.state, after.revision, after.history) == (State.DELIVERED, 1, before.history)
    assert (after.instance_count, after.series_count) == (2, 2)


@pytest.mark.parametrize("modality", OTHER_OBJECTS)
def test_an_attempt_that_runs_is_not_repeated_for_it(index: Index, modality: str) -> None:
    """A report that comes while the pipeline runs is no late slice."""
    claimed = claimed_study(index)
    index.record_received([other(modality)])
    index.finish_succeeded(claimed, result_files(), destinations=(), why="fine")
    assert state_of(index) is State.PROCESSED


def test_a_slice_that_comes_after_a_report_still_opens_the_study(index: Index) -> None:
    """Only what is no image is passed over."""
    index.finish_succeeded(claimed_study(index), result_files(), destinations=(), why="fine")
    index.record_received([other("SR")])
    index.record_received([received(number=2)])
    assert (state_of(index), view_of(index).revision) == (State.RECEIVING, 2)


def test_a_report_of_another_patient_holds_the_study_too(index: Index) -> None:
    """A misfiled report may mean misfiled images."""
    index.record_received([received(), other("SR", birth_date="19991231")])
    assert state_of(index) is State.HELD


def test_what_a_dicom_node_made_starts_nothing_whatever_a_pacs_changed(index: Index) -> None:
    """New UIDs, another study, another patient ID: its equipment still tells."""
    index.finish_succeeded(claimed_study(index), result_files("2.25.7"), destinations=(), why="fine")
    coerced = other("SR", birth_date="19991231", patient_name="Coerced^By Pacs", is_of_our_make=True)
    assert index.record_received([coerced]) == (Recorded.OWN_RESULT,)
    assert (state_of(index), view_of(index).instance_count) == (State.PROCESSED, 1)
    assert not view_of(index).has_identity_conflict


def test_our_result_is_known_by_its_uid_under_another_study(index: Index) -> None:
    """Where a PACS moved it, and changed its equipment."""
    index.finish_succeeded(claimed_study(index), result_files("2.25.7"), destinations=(), why="fine")
    moved = received("1.9", sop_instance_uid="2.25.7", sop_class_uid=SR, modality="SR")
    assert index.record_received([moved]) == (Recorded.OWN_RESULT,)
    assert view_of(index, "1.9").instance_count == 0


def test_a_study_without_ct_images_is_told_so_in_plain_words(index: Index) -> None:
    """Also one that holds nothing but what we made."""
    index.record_received([other("SR"), other("SEG", 51), other("SR", 52)])
    make_ready(index)
    reason = without_ct_images(index.stored_instances("1.2.3"))
    assert reason == "nothing to analyse: the study holds no CT images, only objects of modality 1 SEG, 2 SR"
    assert index.finish_refused(claim(index), reason)
    assert view_of(index).history[-1].event is Event.ATTEMPT_REFUSED
    assert "only results of a dicom-node" in without_ct_images(())
    index.record_received([received()])
    assert without_ct_images(index.stored_instances("1.2.3")) == ""
