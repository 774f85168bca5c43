"""What the index knows about associations, slices and notices."""

from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import build_index, claimed_study, received, view_of
from dicom_node.carried import CarriedStudies
from storage.evidence_records import StudyNotice
from storage.index import Index
from storage.lifecycle import State
from storage.records import ReceivedInstance

pytestmark = pytest.mark.usefixtures("each_engine")


def flags(index: Index) -> list[tuple[str, str, bool, bool]]:
    """Association, study, whether it ended, whether it was released."""
    return [
        (one.association, one.study_instance_uid, one.ended_at is not None, one.was_released)
        for one in index.carrying_associations()
    ]


def carried(number: int, *, association: str = "a.1", study: str = "1.2.3", **changes: object) -> ReceivedInstance:
    """An instance that an association carried."""
    return received(study, number, association=association, **changes)


def test_an_association_is_noted_once_for_each_study(tmp_path: Path) -> None:
    """However many images it carries, new or not."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([carried(1), carried(2), carried(1, association="a.2"), carried(1, study="1.9")])
    index.record_received([carried(3)])
    assert sorted(flags(index)) == [
        ("a.1", "1.2.3", False, False),
        ("a.1", "1.9", False, False),
        ("a.2", "1.2.3", False, False),
    ]


def test_the_end_of_an_association_is_known(tmp_path: Path) -> None:
    """With whether it was as it should be."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([carried(1), carried(2, association="a.2")])
    index.end_association("a.1", was_released=True)
    index.end_association("a.2", was_released=False)
    assert flags(index) == [("a.1", "1.2.3", True, True), ("a.2", "1.2.3", True, False)]


def test_a_killed_listener_does_not_hold_a_study_for_ever(tmp_path: Path) -> None:
    """Without signs of life for the lease it lets go, whatever the wall clock does."""
    clock = FakeClock()
    index, studies = build_index(tmp_path, clock), CarriedStudies(lease_s=30)
    index.record_received([carried(1)])
    for _ in range(10):
        clock.advance(5)
        index.keep_associations(["a.1"])
        assert studies.held(index.carrying_associations(), monotonic_s=clock.monotonic()) == {"1.2.3"}
    clock.set_wall_clock(clock.now() + timedelta(days=1))
    clock.advance(29)
    assert studies.held(index.carrying_associations(), monotonic_s=clock.monotonic()) == {"1.2.3"}
    clock.advance(1)
    assert not studies.held(index.carrying_associations(), monotonic_s=clock.monotonic())


def test_a_listener_that_starts_ends_what_the_last_one_left_open(tmp_path: Path) -> None:
    """None of it was released."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([carried(1)])
    index.end_associations()
    assert flags(index) == [("a.1", "1.2.3", True, False)]


def test_the_association_of_a_late_slice_counts_when_the_study_opens(tmp_path: Path) -> None:
    """It ended while the attempt ran; what ended before does not count."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    claim = claimed_study(index)
    clock.advance(10)
    index.record_received([carried(2, association="late", received_at=clock.now())])
    index.end_association("late", was_released=True)
    clock.advance(10)
    index.finish_refused(claim, "test")
    assert view_of(index).state is State.RECEIVING
    assert flags(index) == [("late", "1.2.3", True, True)]


def test_associations_of_yesterday_are_forgotten(tmp_path: Path) -> None:
    """The table does not grow for ever."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    index.record_received([carried(1)])
    index.end_association("a.1", was_released=True)
    clock.advance(86_401)
    index.keep_associations([])
    assert flags(index) == []


def test_slices_are_told_by_series(tmp_path: Path) -> None:
    """Ascending; what is not used is not there."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([carried(number, slice_position_mm=-1.5 * number) for number in (1, 2, 3)])
    index.record_received([carried(1, content="other", slice_position_mm=7.0), carried(4)])
    (series,) = index.series_holdings("1.2.3")
    assert (series.modality, series.instance_count) == ("CT", 4)
    assert series.slice_positions_mm == (-4.5, -3.0, -1.5)


def test_notices_are_compared_with_what_is_here(tmp_path: Path) -> None:
    """A later word under the same UID replaces the earlier one."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([carried(1), carried(2)])
    for named in ({"1.2.3.1.1", "1.2.3.1.9"}, {"1.2.3.1.1", "1.2.3.1.2"}):
        index.note_notice(
            StudyNotice(
                notice_uid="7.7",
                study_instance_uid="1.2.3",
                kind="ian",
                is_final=True,
                sop_instance_uids=frozenset(named),
                calling_aet="PACS",
            )
        )
        (holdings,) = index.notice_holdings("1.2.3")
        assert (holdings.named_count, holdings.missing_count) == (2, 1 if "1.2.3.1.9" in named else 0)
