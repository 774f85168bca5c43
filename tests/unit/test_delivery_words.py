"""What a study says of its destinations."""

from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, choosy, claim, claimed_study, make_ready, received, view_of, whole_result
from config.settings import Peer, Settings
from dicom_node.delivery_words import deliveries_in_words
from dicom_node.destinations import choices_of, classes_of, destination_of
from dicom_node.result_plan import result_plan
from storage.index import Index

BEST, SECOND, LUNGS, LESIONS = (f"2.25.1.{number}" for number in (2, 1, 3, 4))


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A study whose whole result waits for two destinations."""
    made = build_index(tmp_path, FakeClock())
    made.finish_succeeded(claimed_study(made), whole_result(), destinations=choosy("pacs", "archive"), why="fine")
    return made


def words(index: Index) -> dict[str, str]:
    """The line of each destination."""
    return dict(line.split(": ", 1) for line in deliveries_in_words(view_of(index).deliveries))


def delivery_id(index: Index, uid: str) -> int:
    """The delivery of an object to the PACS."""
    (found,) = [d for d in index.due_deliveries(destination="pacs", limit=20) if d.file.sop_instance_uid == uid]
    return found.delivery_id


def test_each_destination_is_told_for_itself_and_nothing_is_said_of_what_is_held(index: Index) -> None:
    """Both wait for the best."""
    line = "report waiting to be sent as Comprehensive 3D SR; segmentations waiting to be sent as Segmentation"
    assert words(index) == {"pacs": line, "archive": line}


def test_what_is_declined_is_told_with_what_goes_in_its_place(index: Index) -> None:
    """Before it was sent and after."""
    index.delivery_declined(delivery_id(index, BEST), "refused")
    declined = "report declined (Comprehensive 3D SR not accepted)"
    assert words(index)["pacs"].startswith(f"{declined}, Enhanced SR waiting to be sent instead; ")
    index.delivery_succeeded(delivery_id(index, SECOND), "0x0000")
    assert words(index)["pacs"].startswith(f"{declined}, Enhanced SR sent instead; ")


def test_a_role_of_which_a_part_is_there_says_how_much(index: Index) -> None:
    """The other part failed, with the words of the peer."""
    index.delivery_succeeded(delivery_id(index, LUNGS), "0x0000")
    index.delivery_gave_up(delivery_id(index, LESIONS), "0xA900 refused")
    told = "segmentations 1 of 2 as Segmentation, 1 of 2 failed as Segmentation (0xA900 refused)"
    assert words(index)["pacs"].endswith(told)


def test_only_the_newest_result_is_told(index: Index) -> None:
    """What was superseded has its own lines among the deliveries."""
    index.record_received([received(number=2)])
    make_ready(index)
    index.finish_succeeded(claim(index), whole_result("2.25.2"), destinations=choosy("pacs"), why="fine")
    assert list(words(index)) == ["pacs"]
    assert "superseded" not in words(index)["pacs"]


def test_nothing_is_told_of_a_study_that_goes_nowhere(tmp_path: Path) -> None:
    """No destination is configured."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received()])
    assert deliveries_in_words(view_of(index).deliveries) == ()


def test_everything_that_a_peer_may_be_sent_is_planned_to_be_made() -> None:
    """Whatever its settings name: else a role would have nothing to send."""
    kinds = ("sr", "seg", "pdf", "capture", "presentation_state", "key_objects")
    for results in ((kind,) for kind in kinds):
        peer = Peer(name="pacs", ae_title="PACS", host="h", port=104, receives_results=True, results=results)
        planned = {kind for role in destination_of(peer).roles for one in role.alternatives for kind in one.kinds}
        plan = result_plan(Settings(peers=(peer,)))
        assert planned <= {"sr", "seg-lungs", "seg-lesions"} | {kind for kind in kinds if getattr(plan, kind, False)}


def test_a_peer_that_was_asked_for_everything_is_told_role_by_role() -> None:
    """Each with the best that it takes."""
    peer = Peer(name="pacs", ae_title="PACS", host="h", port=104, receives_results=True)
    *_, last_report, _seg, capture, pdf = classes_of(peer)
    told = [choice.words for choice in choices_of(peer, {last_report, capture, pdf})]
    assert told == [
        "report as Basic Text SR (refuses Comprehensive SR, Enhanced SR)",
        "segmentations as Secondary Capture Image (refuses Segmentation)",
        "PDF as Encapsulated PDF",
    ]
