"""What an operator's decision about a study of two patients leads to, and how it is taken back."""

from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, received, state_of, view_of
from builders.two_patients import johns
from storage.index import Index
from storage.lifecycle import State
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
    index.release_held("1.2.3", 2, by="admin")
    assert is_used(index, received(number=1), received(number=2), received(number=5))


def test_other_bytes_of_the_first_patients_image_are_never_the_second_patients(index: Index) -> None:
    """What came again goes where the image that it repeats goes."""
    again = received(number=1, content="edited")
    index.record_received([received(number=1), again, johns(2)])
    index.release_held("1.2.3", 2, by="admin")
    index.record_received([received(number=3)])
    index.release_held("1.2.3", 1, by="admin")
    assert is_used(index, johns(2))
    index.record_received([received(number=4)])
    index.release_held("1.2.3", 2, by="admin")
    assert is_used(index, received(number=1), received(number=3), received(number=4))
