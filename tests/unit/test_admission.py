"""Who may have an association."""

import logging
from pathlib import Path
from typing import Any

import pytest

from builders.clock import FakeClock
from builders.listener import AE_TITLE, SENDER, listener_settings
from dicom_node.listen.admission import Admission, Caller, Rejection
from dicom_node.listen.quiet import BoundPerAddress, OncePerMinute
from dicom_node.tls.certificates import Certificate

ANYWHERE = Path("/nowhere")


def admission(clock: FakeClock | None = None, **listen: object) -> Admission:
    """Admission to a node that knows one sender."""
    return Admission(listener_settings(ANYWHERE, **listen), clock=clock or FakeClock())


def caller(calling_aet: str = SENDER, called_aet: str = AE_TITLE, **said: Any) -> Caller:
    """Who asks."""
    return Caller(calling_aet=calling_aet, called_aet=called_aet, **{"address": "10.0.0.1", **said})


def ask(door: Admission, who: Caller) -> Rejection | None:
    """The decision about a request whose association goes on for ever."""
    return door.rejection_of(who, is_over=lambda: False)


def rejection(calling_aet: str = SENDER, called_aet: str = AE_TITLE, **listen: object) -> object:
    """The decision about one request."""
    return ask(admission(**listen), caller(calling_aet, called_aet))


def certificate(**changes: Any) -> Certificate:
    """What a sender shows."""
    at = FakeClock().now()
    said = {"fingerprint": "ab" * 32, "common_names": ("ct1",), "alternative_names": ("ct1.example.org",)}
    return Certificate(**{**said, "not_before": at, "not_after": at, **changes})


def bound_door(**peer: object) -> Admission:
    """Admission to a node whose sender has these settings."""
    settings = listener_settings(ANYWHERE)
    peers = tuple(one.model_copy(update=peer) for one in settings.peers)
    return Admission(settings.model_copy(update={"peers": peers}), clock=FakeClock())


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


def open_door(**peer: object) -> Admission:
    """Admission to a node that lets strangers send, whose one peer may not."""
    settings = listener_settings(ANYWHERE, accept_unknown_callers=True)
    said = {"may_send": False, "receives_results": True, **peer}
    peers = tuple(one.model_copy(update=said) for one in settings.peers)
    return Admission(settings.model_copy(update={"peers": peers}), clock=FakeClock())


def test_open_node_does_not_take_from_a_peer_that_may_not_send() -> None:
    """The site said so of this one; it said nothing of strangers."""
    assert ask(open_door(), caller()) is Rejection.CALLING_AE_TITLE
    assert ask(open_door(), caller("STRANGER")) is None


def test_open_node_takes_only_reports_from_a_peer_that_may_not_send() -> None:
    """Of storage commitment, where the node asks it for them."""
    door = open_door(storage_commitment=True)
    assert ask(door, caller()) is None
    assert not door.may_store(SENDER)
    assert door.may_store("STRANGER")


def test_limit_counts_the_association_itself() -> None:
    """As many as configured, not one more."""
    door = admission(maximum_associations=2, maximum_associations_per_address=2)
    asked = [ask(door, caller(address=f"10.0.0.{number}")) for number in range(3)]
    assert asked == [None, None, Rejection.LOCAL_LIMIT]


def test_one_address_cannot_take_every_place() -> None:
    """Others get in still."""
    door = admission(maximum_associations_per_address=2)
    asked = [ask(door, caller(address=address)) for address in ("a", "a", "a", "b")]
    assert asked == [None, None, Rejection.ADDRESS_LIMIT, None]


def test_probe_of_the_listener_is_admitted_beyond_the_limit() -> None:
    """A full node still answers itself."""
    door = admission(maximum_associations=1)
    assert ask(door, caller()) is None
    assert ask(door, caller(door.probe_aet)) is None
    assert ask(door, caller()) is Rejection.LOCAL_LIMIT
    assert len(door.probe_aet) <= 16
    assert admission().probe_aet != door.probe_aet


@pytest.mark.parametrize(
    ("peer", "shown", "expected"),
    [
        ({"caller_fingerprints": ("ab" * 32,)}, {}, None),
        ({"caller_fingerprints": ("cd" * 32, "ab" * 32)}, {}, None),
        ({"caller_fingerprints": ("cd" * 32,)}, {}, Rejection.CERTIFICATE),
        ({"caller_fingerprints": ("ab" * 32,)}, None, Rejection.CERTIFICATE),
        ({"caller_name": "CT1"}, {}, None),
        ({"caller_name": "ct1.example.org"}, {}, None),
        ({"caller_name": "ct"}, {}, Rejection.CERTIFICATE),
        ({"caller_name": "ct1", "caller_fingerprints": ("cd" * 32,)}, {}, Rejection.CERTIFICATE),
        ({"caller_name": "ct2", "caller_fingerprints": ("ab" * 32,)}, {}, Rejection.CERTIFICATE),
    ],
)
def test_bound_title_needs_its_certificate(peer: dict[str, object], shown: object, expected: object) -> None:
    """By fingerprint, by name, by both where both are set."""
    found = None if shown is None else certificate()
    assert ask(bound_door(**peer), caller(has_tls=found is not None, certificate=found)) is expected


def test_peer_of_tls_may_not_call_without() -> None:
    """Unless the site allows it."""
    assert ask(bound_door(tls=True), caller()) is Rejection.PLAIN
    assert ask(bound_door(tls=True), caller(has_tls=True)) is None
    assert ask(bound_door(tls=True, may_call_plain=True), caller()) is None


def test_same_rejection_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of refused requests leaves a line a minute for each caller."""
    clock = FakeClock()
    door = admission(clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            door.log(Rejection.CALLING_AE_TITLE, caller("X"))
        clock.advance(61)
        door.log(Rejection.CALLING_AE_TITLE, caller("X"))
        door.log(Rejection.CALLING_AE_TITLE, caller("Y"))
    assert len(caplog.records) == 3
    assert "[[peers]]" in caplog.text


def test_quiet_remembers_a_bounded_number_of_kinds() -> None:
    """A scan over many addresses costs no memory."""
    quiet = OncePerMinute(FakeClock())
    assert all(quiet.passes(number) for number in range(10_000))
    assert len(quiet._passed_at_s) <= 256


def test_many_titles_of_one_address_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Thirty lines a minute, then one that says how many there were; another address is listed beside it."""
    clock = FakeClock()
    door = admission(clock)
    with caplog.at_level(logging.WARNING):
        assert all(door.log(Rejection.CALLING_AE_TITLE, caller(f"X{number}")) for number in range(1000))
        door.log(Rejection.CALLING_AE_TITLE, caller("Y", address="10.0.0.2"))
        door.log_unlisted()
        assert len(caplog.records) == 31
        clock.advance(61)
        for _ in range(2):
            door.log_unlisted()
        door.log(Rejection.CALLING_AE_TITLE, caller("Z"))
    assert len(caplog.records) == 33
    assert "970 further callers from 10.0.0.1 were rejected and not listed" in caplog.records[31].getMessage()


def test_addresses_are_remembered_in_a_bounded_number() -> None:
    """Also of those that are forgotten it is said how much was left out."""
    bound = BoundPerAddress(FakeClock(), limit=1)
    assert [bound.passes("first") for _ in range(3)] == [True, False, False]
    assert all(bound.passes(str(number)) for number in range(10_000))
    assert len(bound._minutes) <= 256
    assert bound.take_left_out() == {"first": 2}
