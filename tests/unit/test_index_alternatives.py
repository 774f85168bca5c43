"""Results of which a destination gets the best that it takes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import (
    ENHANCED_SR,
    SECONDARY_CAPTURE,
    SEG,
    SR,
    build_index,
    choosy,
    claimed_study,
    received,
    state_of,
    to,
    view_of,
    whole_result,
)
from storage.delivery_plan import Candidate, planned_deliveries
from storage.errors import NothingToSendError
from storage.index import Index
from storage.lifecycle import State
from storage.records import Alternative, ClassAnswer, Destination, DueDelivery, Role

pytestmark = pytest.mark.usefixtures("each_engine")

REFUSED = "pacs does not accept it"


def finished(folder: Path, clock: FakeClock, destinations: Sequence[Destination]) -> Index:
    """An index with one study whose whole result waits for the destinations."""
    index = build_index(folder, clock)
    index.finish_succeeded(claimed_study(index), whole_result(), destinations=destinations, why="2 lesions")
    return index


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """One destination, PACS, that has an alternative for each role."""
    return finished(tmp_path, FakeClock(), choosy("PACS"))


def due(index: Index) -> dict[str, DueDelivery]:
    """What is due for the PACS, by the last number of its UID."""
    deliveries = index.due_deliveries(destination="PACS", limit=20)
    return {delivery.file.sop_instance_uid.rsplit(".", 1)[1]: delivery for delivery in deliveries}


def take(index: Index, *numbers: str) -> None:
    """The PACS takes what is due under these numbers."""
    for number in numbers:
        index.delivery_succeeded(due(index)[number].delivery_id, "0x0000 success")


def decline(index: Index, number: str, words: str = REFUSED) -> None:
    """The PACS takes no objects of the class of this one."""
    index.delivery_declined(due(index)[number].delivery_id, words)


def progress(index: Index) -> dict[str, str]:
    """State of each delivery by the last number of its UID."""
    return {delivery.sop_instance_uid.rsplit(".", 1)[1]: delivery.state for delivery in view_of(index).deliveries}


def test_only_the_best_of_each_role_is_due(index: Index) -> None:
    """The others are held; nobody asked for the PDF."""
    assert set(due(index)) == {"2", "3", "4"}
    assert progress(index) == {
        "1": "held",
        "2": "waiting",
        "3": "waiting",
        "4": "waiting",
        "5": "held",
        "6": "held",
    }


def test_a_study_is_delivered_without_what_was_held(index: Index) -> None:
    """The best was taken; the rest stays here, and is known to have stayed here."""
    take(index, "2", "3", "4")
    assert state_of(index) is State.DELIVERED
    assert progress(index)["1"] == progress(index)["5"] == "held"


def test_what_is_declined_makes_the_next_best_due_at_once(index: Index) -> None:
    """All objects of the declined rank together, since they are of one class; the words stay."""
    decline(index, "3")
    assert set(due(index)) == {"2", "5", "6"}
    declined = [delivery for delivery in view_of(index).deliveries if delivery.state == "declined"]
    assert [(delivery.rank, delivery.last_status) for delivery in declined] == [(0, REFUSED), (0, REFUSED)]
    take(index, "2", "5", "6")
    assert state_of(index) is State.DELIVERED


def test_what_was_taken_before_its_rank_was_declined_stays_taken(index: Index) -> None:
    """A peer may answer the second object otherwise than the first."""
    take(index, "3")
    decline(index, "4")
    assert (progress(index)["3"], progress(index)["4"], progress(index)["5"]) == ("delivered", "declined", "waiting")


def test_a_role_that_finds_no_taker_fails_and_says_what_to_allow(index: Index) -> None:
    """Everything that was refused is named in the reason of the study."""
    decline(index, "2", "no Comprehensive")
    decline(index, "1", "no Enhanced")
    view = view_of(index)
    assert view.state is State.DELIVERY_FAILED
    assert view.reason == "PACS takes nothing as report: no Comprehensive; no Enhanced"
    assert (progress(index)["1"], progress(index)["2"]) == ("failed", "declined")
    take(index, "3", "4")
    assert state_of(index) is State.DELIVERY_FAILED


def test_an_object_refused_for_good_does_not_hide_behind_its_alternative(index: Index) -> None:
    """An error of one object is to be seen; another class would hide it."""
    index.delivery_gave_up(due(index)["2"].delivery_id, "0xA900 refused")
    assert state_of(index) is State.DELIVERY_FAILED
    assert progress(index)["1"] == "held"


def test_a_resend_begins_with_the_best_again(index: Index) -> None:
    """The PACS may have learnt to take it."""
    decline(index, "3")
    take(index, "2", "5", "6")
    assert index.resend("1.2.3", destinations=choosy("PACS")) is State.SENDING
    assert set(due(index)) == {"2", "3", "4"}
    assert progress(index)["5"] == "held"


def test_a_resend_follows_what_a_destination_wants_now(index: Index) -> None:
    """What it has stays known as delivered; what it no longer wants is not sent; what is new is."""
    take(index, "2")
    pdf = Destination(name="PACS", roles=(Role(name="pdf", alternatives=(Alternative(kinds=("pdf",)),)),))
    index.resend("1.2.3", destinations=[pdf])
    assert set(due(index)) == {"7"}
    assert progress(index)["2"] == "delivered"
    assert {progress(index)[number] for number in "13456"} == {"superseded"}


def test_a_resend_of_which_nobody_wants_anything_is_refused(index: Index) -> None:
    """Else the study would be on its way for ever."""
    take(index, "2", "3", "4")
    nothing = Destination(name="PACS", roles=(Role(name="key_objects", alternatives=(Alternative(kinds=("ko",)),)),))
    with pytest.raises(NothingToSendError):
        index.resend("1.2.3", destinations=[nothing])
    assert state_of(index) is State.DELIVERED


def test_segmentations_may_be_declined_where_the_capture_is_sent_anyway(tmp_path: Path) -> None:
    """The capture is a role of its own then and makes up for them."""
    index = finished(tmp_path, FakeClock(), choosy("PACS", covered_by="capture"))
    assert set(due(index)) == {"2", "3", "4", "5", "6"}
    decline(index, "3")
    take(index, "2", "5", "6")
    assert state_of(index) is State.DELIVERED
    assert progress(index)["4"] == "declined"


def test_a_late_instance_stops_what_is_held_too(index: Index) -> None:
    """What was declined of the old result stays known."""
    decline(index, "3")
    index.record_received([received(number=2)])
    assert set(progress(index).values()) == {"superseded", "declined"}


def test_an_answer_to_what_no_longer_waits_changes_nothing(index: Index) -> None:
    """It was under way when the operator sent everything again."""
    decline(index, "2")
    under_way = due(index)["1"]
    index.resend("1.2.3", destinations=choosy("PACS"))
    index.delivery_declined(under_way.delivery_id, REFUSED)
    assert (progress(index)["1"], progress(index)["2"]) == ("held", "waiting")


def test_ranks_without_an_object_are_left_out() -> None:
    """The result has no report of the class that the destination likes best."""
    (destination,) = choosy("PACS")
    (planned,) = planned_deliveries([Candidate(result_file_id=1, kind="sr", sop_class_uid=ENHANCED_SR)], destination)
    assert (planned.role, planned.rank) == ("report", 0)


def test_a_result_made_before_a_destination_was_known_is_sent_as_it_is() -> None:
    """None of the classes that it names was made; better another than nothing without a word."""
    (destination,) = choosy("PACS")
    (planned,) = planned_deliveries([Candidate(result_file_id=1, kind="sr", sop_class_uid="1.2")], destination)
    assert (planned.role, planned.rank) == ("report", 0)


def test_the_newest_answer_to_an_offer_counts(index: Index) -> None:
    """Per destination and class; the others stay as they were."""
    clock = FakeClock()
    refused = ClassAnswer(sop_class_uid=SEG, transfer_syntax_uid="", refusal="not supported", at=clock.now())
    accepted = ClassAnswer(sop_class_uid=SR, transfer_syntax_uid="1.2.840.10008.1.2.1", refusal="", at=clock.now())
    index.note_answers("PACS", [refused, accepted])
    index.note_answers("ARCHIVE", [refused])
    clock.advance(1)
    learnt = ClassAnswer(sop_class_uid=SEG, transfer_syntax_uid="1.2.840.10008.1.2", refusal="", at=clock.now())
    index.note_answers("PACS", [learnt])
    assert index.answers_of("PACS") == (learnt, accepted)
    assert index.answers_of("ARCHIVE") == (refused,)


def test_each_destination_has_its_own_alternatives(tmp_path: Path) -> None:
    """What one declines is not held against the other."""
    index = finished(tmp_path, FakeClock(), [*choosy("PACS"), *to("ARCHIVE")])
    decline(index, "2")
    assert len(index.due_deliveries(destination="ARCHIVE", limit=20)) == 7
    assert SECONDARY_CAPTURE in {d.file.sop_class_uid for d in index.due_deliveries(destination="ARCHIVE", limit=20)}
