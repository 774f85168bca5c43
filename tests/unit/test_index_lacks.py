"""What a destination wants and a result was made without."""

from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import SEG, SR, build_index, claimed_study, dicom_file, state_of, view_of
from config.settings import Peer
from dicom_node.destinations import destination_of
from storage.errors import NothingToSendError
from storage.index import Index
from storage.lifecycle import State
from storage.records import Destination

pytestmark = pytest.mark.usefixtures("each_engine")

REPORT, LUNGS, LESIONS = (
    dicom_file("sr", SR, "2.25.1"),
    dicom_file("seg-lungs", SEG, "2.25.2"),
    dicom_file("seg-lesions", SEG, "2.25.3"),
)
MADE_ANEW = ", which this result lacks: `dicom-node study retry UID` makes a whole one"


def wants(name: str, *results: str) -> Destination:
    """A peer that receives these results."""
    peer = Peer(name=name, ae_title=name.upper(), host="h", port=104, receives_results=True, capture_without_seg=False)
    return destination_of(peer.model_copy(update={"results": results}))


def sent(index: Index) -> None:
    """Everybody takes what is due."""
    for name in ("pacs", "ris"):
        for delivery in index.due_deliveries(destination=name, limit=9):
            index.delivery_succeeded(delivery.delivery_id, "0x0000")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A result of report and segmentations that a PACS took."""
    index = build_index(tmp_path, FakeClock())
    files = (REPORT, LUNGS, LESIONS)
    index.finish_succeeded(claimed_study(index), files, destinations=[wants("pacs", "sr", "seg")], why="1 lesion")
    sent(index)
    return index


def test_what_a_destination_wants_by_now_in_vain_is_said(index: Index) -> None:
    """The rest is sent; the study is not delivered, for one has nothing of it."""
    assert state_of(index) is State.DELIVERED
    destinations = [wants("pacs", "sr", "seg", "key_objects", "capture"), wants("ris", "capture")]
    assert index.resend("1.2.3", destinations=destinations) is State.DELIVERY_FAILED
    sent(index)
    view = view_of(index)
    assert view.state is State.DELIVERY_FAILED
    assert view.reason == f"pacs wants capture and key objects{MADE_ANEW}; ris wants capture{MADE_ANEW}"
    assert {delivery.state for delivery in view.deliveries} == {"delivered"}


def test_what_may_be_declined_is_only_named(index: Index) -> None:
    """The report says the same as a PDF."""
    index.resend("1.2.3", destinations=[wants("pacs", "sr", "pdf")])
    assert view_of(index).reason.endswith(f"; pacs wants pdf{MADE_ANEW}")
    sent(index)
    assert state_of(index) is State.DELIVERED


def test_a_resend_of_nothing_that_anybody_wants_says_what_they_want(index: Index) -> None:
    """The study stays as it is."""
    with pytest.raises(NothingToSendError, match="ris wants capture, which this result lacks"):
        index.resend("1.2.3", destinations=[wants("ris", "capture")])
    assert state_of(index) is State.DELIVERED


def test_a_result_for_which_the_settings_changed_while_it_was_made_is_not_called_delivered(tmp_path: Path) -> None:
    """Its run began before anybody wanted a capture."""
    index = build_index(tmp_path, FakeClock())
    destinations = [wants("pacs", "sr"), wants("ris", "capture")]
    index.finish_succeeded(claimed_study(index), (REPORT, LUNGS), destinations=destinations, why="no lesion")
    sent(index)
    view = view_of(index)
    assert (view.state, view.reason) == (State.DELIVERY_FAILED, f"ris wants capture{MADE_ANEW}")


def test_a_result_without_lesions_lacks_nothing_that_points_at_them(tmp_path: Path) -> None:
    """It has neither presentation state nor key objects, whoever wants them."""
    index = build_index(tmp_path, FakeClock())
    destinations = [wants("pacs", "seg", "presentation_state", "key_objects")]
    index.finish_succeeded(claimed_study(index), (REPORT, LUNGS), destinations=destinations, why="no lesion")
    sent(index)
    assert state_of(index) is State.DELIVERED
