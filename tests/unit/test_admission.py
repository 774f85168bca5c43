"""Who may have an association."""

import logging
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.listener import AE_TITLE, SENDER, listener_settings
from dicom_node.listen.admission import Admission, Rejection
from dicom_node.listen.quiet import OncePerMinute

ANYWHERE = Path("/nowhere")


def admission(clock: FakeClock | None = None, **listen: object) -> Admission:
    """Admission to a node that knows one sender."""
    return Admission(listener_settings(ANYWHERE, **listen), clock=clock or FakeClock())


def rejection(
    calling_aet: str = SENDER, called_aet: str = AE_TITLE, *, associations: int = 1, **listen: object
) -> object:
    """The decision about one request."""
    return admission(**listen).rejection_of(calling_aet=calling_aet, called_aet=called_aet, associations=associations)


def test_known_sender_is_admitted() -> None:
    """Padding of AE titles has no meaning."""
    assert rejection(SENDER + "   ", AE_TITLE + " ") is None


@pytest.mark.parametrize("calling_aet", ["", "STRANGER", SENDER.lower(), SENDER[:-1], SENDER + "\0", "../" + SENDER])
def test_anybody_else_is_not(calling_aet: str) -> None:
    """AE titles are compared whole and with their case (PS3.5 6.2)."""
    assert rejection(calling_aet) is Rejection.CALLING_AE_TITLE


def test_open_node_still_checks_the_called_title() -> None:
    """Unknown callers yes, misdirected ones no."""
    assert rejection("STRANGER", accept_unknown_callers=True) is None
    assert rejection("STRANGER", "OTHER", accept_unknown_callers=True) is Rejection.CALLED_AE_TITLE


def test_limit_counts_the_association_itself() -> None:
    """As many as configured, not one more."""
    assert rejection(associations=2, maximum_associations=2) is None
    assert rejection(associations=3, maximum_associations=2) is Rejection.LOCAL_LIMIT


def test_probe_of_the_listener_is_admitted_beyond_the_limit() -> None:
    """A full node still answers itself."""
    door = admission(maximum_associations=1)
    assert door.rejection_of(calling_aet=door.probe_aet, called_aet=AE_TITLE, associations=9) is None
    assert len(door.probe_aet) <= 16
    assert admission().probe_aet != door.probe_aet


def test_same_rejection_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of refused requests leaves a line a minute for each caller."""
    clock = FakeClock()
    door = admission(clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            door.log(Rejection.CALLING_AE_TITLE, calling_aet="X", called_aet=AE_TITLE, address="10.0.0.1")
        clock.advance(61)
        door.log(Rejection.CALLING_AE_TITLE, calling_aet="X", called_aet=AE_TITLE, address="10.0.0.1")
        door.log(Rejection.CALLING_AE_TITLE, calling_aet="Y", called_aet=AE_TITLE, address="10.0.0.1")
    assert len(caplog.records) == 3
    assert "[[peers]]" in caplog.text


def test_quiet_remembers_a_bounded_number_of_kinds() -> None:
    """A scan over many addresses costs no memory."""
    quiet = OncePerMinute(FakeClock())
    assert all(quiet.passes(number) for number in range(10_000))
    assert len(quiet._passed_at_s) <= 256
