"""What an operator's decision about a study of two patients leads to, and how it is taken back."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from builders.clock import FakeClock
from builders.index import (
    NOON,
    build_index,
    claim,
    claimed_study,
    database_url,
    make_ready,
    received,
    state_of,
    view_of,
)
from builders.two_patients import johns
from storage.database import open_engine, writing
from storage.index import Index
from storage.lifecycle import State
from storage.models import Instance, Study, Use
from storage.records import ReceivedInstance, Recorded

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the index."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An empty index."""
    return build_index(tmp_path, clock)


def is_used(index: Index, *instances: ReceivedInstance) -> bool:
    """Whether these instances, and no others, are read by the pipeline."""
    used = sorted(stored.sha256 for stored in index.stored_instances("1.2.3"))
    return used == sorted(instance.sha256 for instance in instances) and view_of(index).instance_count == len(used)


def counted(index: Index) -> list[int]:
    """How many instances name each patient."""
    return [named.instance_count for named in view_of(index).patients]


def test_that_all_is_of_one_person_can_be_taken_back(index: Index) -> None:
    """The next image of the other patient holds the study, and each image counts under whom it names."""
    janes = [received(number=number) for number in (1, 2)]
    index.record_received([*janes, *(johns(number) for number in (3, 4, 5))])
    index.release_held_whole("1.2.3", by="admin")
    assert is_used(index, *janes, *(johns(number) for number in (3, 4, 5)))
    assert index.record_received([johns(6)]) == (Recorded.OTHER_PATIENT,)
    assert (state_of(index), counted(index)) == (State.HELD, [2, 4])
    index.release_held("1.2.3", 1, by="admin")
    assert is_used(index, *janes)
    assert (view_of(index).conflict_count, counted(index)) == (4, [2, 4])


def test_after_all_was_of_one_person_the_other_patient_may_be_chosen(index: Index) -> None:
    """Also an image of his that lost its place to one of hers; none of hers stays in use."""
    index.record_received([received(number=1), received(number=2), johns(2), johns(3)])
    index.release_held_whole("1.2.3", by="admin")
    assert is_used(index, received(number=1), received(number=2), johns(3))
    index.record_received([johns(4)])
    index.release_held("1.2.3", 2, by="admin")
    assert is_used(index, johns(2), johns(3), johns(4))
    index.record_received([received(number=5)])
    index.release_held("1.2.3", 1, by="admin")
    assert is_used(index, received(number=1), received(number=2), received(number=5))


def test_other_bytes_of_the_first_patients_image_are_never_the_second_patients(index: Index) -> None:
    """What came again goes where the image that it repeats goes."""
    again = received(number=1, content="edited")
    index.record_received([received(number=1), again, johns(2)])
    index.release_held("1.2.3", 2, by="admin")
    index.record_received([received(number=3)])
    index.release_held("1.2.3", 2, by="admin")
    assert is_used(index, johns(2))
    index.record_received([received(number=4)])
    index.release_held("1.2.3", 1, by="admin")
    assert is_used(index, received(number=1), received(number=3), received(number=4))


def test_an_image_that_comes_again_under_the_right_name_is_used(index: Index) -> None:
    """The one that named somebody else by mistake has not taken its place."""
    index.record_received([received(number=number) for number in (1, 2, 4)])
    assert index.record_received([received(number=3, patient_name="Deo^Jane")]) == (Recorded.OTHER_PATIENT,)
    corrected = received(number=3, content="corrected")
    assert index.record_received([corrected, corrected]) == (Recorded.NEW, Recorded.DUPLICATE)
    assert (state_of(index), counted(index)) == (State.HELD, [4, 1])
    index.release_held("1.2.3", 1, by="admin")
    assert is_used(index, corrected, *(received(number=number) for number in (1, 2, 4)))
    assert index.record_received([received(number=3, content="again")]) == (Recorded.CONFLICT,)


def test_an_image_that_is_corrected_after_the_decision_opens_the_study_again(index: Index) -> None:
    """The study ran without it; also where wrong and right copy come in one batch."""
    both = [received(number=3, patient_name="Deo^Jane"), received(number=4, patient_name="Deo^Jane")]
    index.record_received([received(), *both, received(number=4, content="corrected")])
    index.release_held("1.2.3", 1, by="admin")
    make_ready(index)
    assert index.record_received([received(number=3, content="corrected")]) == (Recorded.NEW,)
    assert state_of(index) is State.RECEIVING
    right = [received(number=number, content="corrected") for number in (3, 4)]
    assert is_used(index, received(), *right)


def put_aside(folder: Path, instance: ReceivedInstance) -> None:
    """As versions before did with an image that came again under the right name."""
    engine = open_engine(database_url(folder))
    with writing(engine) as connection:
        connection.execute(update(Instance).where(Instance.sha256 == instance.sha256).values(use=Use.OTHER_BYTES))
        counts = {"instance_count": Study.instance_count - 1, "conflict_count": Study.conflict_count + 1}
        connection.execute(update(Study).values(counts))
    engine.dispose()


def test_a_correction_that_an_older_version_put_aside_is_used_when_it_is_sent_again(
    index: Index, tmp_path: Path
) -> None:
    """The study ran without it; once is enough, and an image of which another copy is in use changes nothing."""
    wrong, corrected = received(number=3, patient_name="Deo^Jane"), received(number=3, content="corrected")
    index.record_received([received(), received(content="edited"), wrong, corrected])
    put_aside(tmp_path, corrected)
    index.release_held("1.2.3", 1, by="admin")
    make_ready(index)
    assert is_used(index, received())
    assert index.record_received([received(content="edited"), wrong]) == (Recorded.DUPLICATE,) * 2
    assert state_of(index) is State.READY
    assert index.record_received([corrected, corrected]) == (Recorded.NEW, Recorded.DUPLICATE)
    assert is_used(index, received(), corrected)
    assert (state_of(index), view_of(index).conflict_count) == (State.RECEIVING, 2)


def test_what_an_older_version_put_aside_is_never_used_for_another_patient(index: Index, tmp_path: Path) -> None:
    """Who was chosen since is not whom it names: the study stays as it is."""
    corrected = received(number=3, content="corrected")
    index.record_received([received(), johns(3), corrected])
    put_aside(tmp_path, corrected)
    index.release_held("1.2.3", 2, by="admin")
    assert index.record_received([corrected]) == (Recorded.DUPLICATE,)
    assert (state_of(index), is_used(index, johns(3))) == (State.RECEIVING, True)


def test_a_correction_of_what_was_taken_for_the_same_person_replaces_it_once_that_is_taken_back(index: Index) -> None:
    """While all is of one person the first copy stays in use, as ever."""
    index.record_received([received(), received(number=3, patient_name="Deo^Jane")])
    index.release_held_whole("1.2.3", by="admin")
    corrected = received(number=3, content="corrected")
    assert index.record_received([corrected]) == (Recorded.CONFLICT,)
    index.record_received([johns(5)])
    index.release_held("1.2.3", 1, by="admin")
    assert is_used(index, received(), corrected)


def test_a_study_that_ran_under_one_patient_runs_under_another_as_its_next_revision(index: Index) -> None:
    """Each patient's tries, searches and results are told apart by it."""
    index.finish_failed(claimed_study(index), "no", retryable=True, maximum_attempts=3)
    index.record_received([johns(2)])
    index.release_held("1.2.3", 2, by="admin")
    make_ready(index)
    taken = claim(index)
    assert (taken.revision, taken.attempt_number) == (2, 1)


def test_rules_see_when_the_last_image_came_not_when_it_was_decided_whose_it_is(index: Index, clock: FakeClock) -> None:
    """A scan of the night is one of the night, though it is released in the morning; only then it is received anew."""
    hours = [clock.now() + timedelta(hours=hour) for hour in (0, 1, 2)]
    index.record_received(
        [received(received_at=hours[0]), johns(2, received_at=hours[1]), johns(3, received_at=hours[2])]
    )
    clock.advance(6 * 3600)
    index.release_held("1.2.3", 1, by="admin")
    assert last_instance_at(index) == hours[0]
    (activity,) = index.studies_in(State.RECEIVING)
    assert (activity.first_instance_at, activity.last_instance_at) == (clock.now(), hours[0])
    index.record_received([johns(4, received_at=hours[1])])
    index.release_held("1.2.3", 2, by="admin")
    assert last_instance_at(index) == hours[2]


def test_all_that_is_of_one_person_came_with_the_last_of_it(index: Index) -> None:
    """Also where that named somebody else."""
    later = NOON + timedelta(minutes=5)
    index.record_received([received(), johns(2, received_at=later)])
    index.release_held_whole("1.2.3", by="admin")
    assert last_instance_at(index) == later


def test_the_study_is_described_as_the_images_of_the_chosen_patient_say(index: Index) -> None:
    """Rules ask for it; and what the first patient's said is back with her."""
    index.record_received([received(), johns(2, study_description=""), johns(3), johns(4, study_description="Other")])
    for number, accession_number, description in ((2, "J1", "Thorax"), (1, "A1", "Chest"), (1, "A1", "Chest")):
        index.release_held("1.2.3", number, by="admin")
        assert index.rules.facts_of("1.2.3").description == description
        assert view_of(index).accession_number == accession_number
        stranger = johns if description == "Chest" else received
        index.record_received([stranger(number=10 + len(view_of(index).history))])


def last_instance_at(index: Index) -> datetime:
    """When the last image came, as rules see it."""
    return index.rules.facts_of("1.2.3").last_instance_at
