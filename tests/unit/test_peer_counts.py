"""What peers have is asked one study at a time, with pauses that grow."""

from builders.clock import FakeClock
from dicom_node.counts import PeerCounts
from dicom_node.errors import NodeError
from dicom_node.evidence import SeriesCount

FORTY = (SeriesCount(series_instance_uid="1.1", modality="CT", instance_count=40),)


class _DownError(NodeError):
    """The peer is down."""


class Peer:
    """Answers what it was told to, and remembers who asked."""

    def __init__(self) -> None:
        """Up."""
        self.asked: list[str] = []
        self.is_down = False

    def __call__(self, peer_name: str, study_instance_uid: str) -> tuple[SeriesCount, ...]:
        """One question."""
        self.asked.append(study_instance_uid)
        if self.is_down:
            raise _DownError
        return FORTY


def test_an_answer_is_known_after_it_was_asked_for() -> None:
    """The sweep never waits: first it hears nothing, later the answer."""
    counts = PeerCounts(Peer(), clock=FakeClock())
    assert counts.heard("1", peer_name="pacs", instance_count=40) is None
    counts.ask_next()
    assert counts.heard("1", peer_name="pacs", instance_count=40) == FORTY


def test_an_image_makes_the_answer_void() -> None:
    """What was heard before it says nothing about the study after it."""
    counts = PeerCounts(Peer(), clock=FakeClock())
    counts.heard("1", peer_name="pacs", instance_count=39)
    counts.ask_next()
    assert counts.heard("1", peer_name="pacs", instance_count=40) is None


def test_pauses_grow_whether_the_peer_answers_or_not() -> None:
    """2, 4, 8 up to 60 s."""
    for is_down in (False, True):
        peer, clock = Peer(), FakeClock()
        peer.is_down = is_down
        counts = PeerCounts(peer, clock=clock)
        counts.heard("1", peer_name="pacs", instance_count=40)
        times = []
        for second in range(200):
            before = len(peer.asked)
            counts.ask_next()
            times += [second] * (len(peer.asked) - before)
            clock.advance(1)
        assert times == [0, 2, 6, 14, 30, 62, 122, 182]


def test_one_study_is_asked_about_at_a_time() -> None:
    """Each in its turn; one that is gone no more."""
    peer = Peer()
    counts = PeerCounts(peer, clock=FakeClock())
    for uid in ("1", "2", "3"):
        counts.heard(uid, peer_name="pacs", instance_count=1)
    counts.forget_others(["1", "3"])
    for _ in range(4):
        counts.ask_next()
    assert peer.asked == ["1", "3"]
