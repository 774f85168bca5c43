"""The check as a whole: what a source's settings let speak, what a peer says, what an open association holds."""

from collections.abc import Callable
from pathlib import Path

from builders.clock import FakeClock
from builders.index import build_index, received
from builders.memory_index import MemoryIndex
from builders.two_patients import johns
from config.settings import CompletenessOverrides, CompletenessSettings, Peer, Settings
from dicom_node.completeness import CompletenessCheck
from dicom_node.counts import PeerCounts
from dicom_node.evidence import SeriesCount

STUDY = "1.2.3"
Ask = Callable[[str, str], tuple[SeriesCount, ...]]


class Scene:
    """A study of twenty slices that came over one association and was released."""

    def __init__(self, *, ask: Ask = lambda *_: (), slices: bool = True, **overrides: object) -> None:
        """Send it; `slices` says whether they have positions, `overrides` are of the peer that sent it."""
        self.clock = FakeClock()
        index = MemoryIndex(self.clock)
        for number in range(20):
            position = 1.25 * number if slices else None
            index.record_received([received(STUDY, number, association="a.1", slice_position_mm=position)])
        index.end_association("a.1", was_released=True)
        peer = Peer(
            name="ct", ae_title="CT1", host="ct", port=104, completeness=CompletenessOverrides.model_validate(overrides)
        )
        settings = Settings(completeness=CompletenessSettings(quiet_period_s=60), peers=(peer,))
        self._counts = PeerCounts(ask, clock=self.clock)
        self._check = CompletenessCheck(settings, index, counts=self._counts, clock=self.clock)

    def completed(self) -> tuple[int, str]:
        """Seconds until the study is complete, and why."""
        for second in range(100):
            for _, why in self._check.completed():
                return second, why
            self._counts.ask_next()
            self.clock.advance(1)
        message = "never"
        raise AssertionError(message)


def pacs_with(count: int) -> Ask:
    """A peer that has so many images of the study."""
    return lambda *_: (SeriesCount(series_instance_uid=f"{STUDY}.1", modality="CT", instance_count=count),)


def test_slices_and_the_released_association_complete_a_study_in_seconds() -> None:
    """With the settings as they come."""
    assert Scene().completed() == (2, "20 slices without a gap; association released")


def test_what_a_peer_switches_off_does_not_speak_for_its_studies() -> None:
    """The quiet period is left, also one of the peer's own."""
    assert Scene(association_release=False).completed() == (60, "no image for 60 s, 20 received")
    assert Scene(slice_positions=False, quiet_period_s=30.0).completed() == (30, "no image for 30 s, 20 received")


def test_the_count_of_a_pacs_makes_two_with_the_association() -> None:
    """For images without positions; the answer is there when the study has settled."""
    second, why = Scene(ask=pacs_with(20), slices=False, count_peer="pacs").completed()
    assert second <= 3
    assert why == "20 of 20 images that pacs has are here; association released"


def test_a_pacs_that_has_more_holds_the_study_to_the_quiet_period() -> None:
    """Although slices and association agree."""
    assert Scene(ask=pacs_with(21), count_peer="pacs").completed() == (60, "no image for 60 s, 20 received")


def test_a_pacs_that_is_slow_does_not_hold_what_two_others_agree_on() -> None:
    """Nobody waits for its answer."""
    assert Scene(ask=pacs_with(0), count_peer="pacs").completed()[0] == 2


def test_after_a_release_the_slices_of_the_chosen_patient_speak(tmp_path: Path) -> None:
    """Although they are as many, and came at the same time, as those that were looked at before."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    settings = Settings(completeness=CompletenessSettings(quiet_period_s=60))
    check = CompletenessCheck(settings, index, counts=PeerCounts(lambda *_: (), clock=clock), clock=clock)
    with_a_gap = [place + (place > 5) for place in range(10)]
    index.record_received([received(STUDY, place, slice_position_mm=float(place)) for place in with_a_gap])
    clock.advance(3)
    assert check.completed() == ()
    index.record_received([johns(20 + place, association="a.1", slice_position_mm=float(place)) for place in range(10)])
    index.end_association("a.1", was_released=True)
    index.release_held(STUDY, 2, by="admin")
    assert check.completed() == ()
    clock.advance(2)
    assert check.completed() == ((STUDY, "10 slices without a gap; association released"),)
