"""Association requests that fuzzing found pynetdicom to fail over, at a listener that runs."""

import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import RunningListener, listener_settings, running_listener, send
from builders.raw_peer import (
    A_ABORT,
    A_ASSOCIATE_AC,
    A_ASSOCIATE_RJ,
    A_RELEASE_RP,
    A_RELEASE_RQ,
    P_DATA,
    RawPeer,
    associate_request,
    item,
    pdu,
)
from dicom_node.listen import ports


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One that goes through many requests."""
    with running_listener(listener_settings(tmp_path_factory.mktemp("data"))) as running:
        yield running


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        pytest.param(item(0x40, ExplicitVRLittleEndian.encode()), "TypeError", id="no abstract syntax"),
        pytest.param(item(0x30, b"1.2.840.10008.1.1"), "IndexError", id="no transfer syntax"),
    ],
)
def test_half_a_context_is_aborted_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, items: bytes, reason: str
) -> None:
    """PS3.8 9.3.2.2: a presentation context has both; a single place is free again at once."""
    half = item(0x20, b"\3\0\0\0" + items)
    with running_listener(listener_settings(tmp_path, maximum_associations=1)) as running:
        with RawPeer(running.port) as peer:
            peer.send(pdu(1, associate_request()[6:] + half))
            assert peer.receive_pdu()[0] == A_ABORT
        assert send(running.port, ct_instance()) == [0x0000]
    assert f"association aborted: {reason}" in caplog.text


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        pytest.param(pdu(1, associate_request()[6:-3]), A_ABORT, id="an item that is cut off"),
        pytest.param(associate_request(called=b"\x93"), A_ASSOCIATE_RJ, id="a title that is no text"),
        pytest.param(pdu(1, b"\0\2" + associate_request()[8:]), A_ASSOCIATE_RJ, id="another protocol version"),
    ],
)
def test_a_request_that_is_none_holds_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_pdu: bytes, answer: int
) -> None:
    """Its association does not wait for another one until the time-out of pynetdicom, here an hour."""
    monkeypatch.setattr(ports, "_ACSE_TIMEOUT_S", 3600.0)
    with running_listener(listener_settings(tmp_path)) as running, RawPeer(running.port) as peer:
        peer.send(request_pdu)
        assert peer.receive_pdu()[0] == answer
        until(lambda: not _threads_of_associations(), within_s=20, what="its threads end")
        assert peer.receive_pdu() == (0, b"")
        assert send(running.port, ct_instance()) == [0x0000]


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        (associate_request(version=0x0003), (A_ASSOCIATE_AC, b"")),
        (associate_request(version=0xFFFF), (A_ASSOCIATE_AC, b"")),
        (associate_request(version=0x0002), (A_ASSOCIATE_RJ, bytes([0, 1, 2, 2]))),
        (associate_request(application_context=b"1.2.840.10008.3.1.1.1\0"), (A_ASSOCIATE_AC, b"")),
        (associate_request(application_context=b"1.2.3.4"), (A_ASSOCIATE_RJ, bytes([0, 1, 1, 2]))),
        (associate_request(application_context=b"1.2.3.4", calling=b"NOBODY"), (A_ASSOCIATE_RJ, bytes([0, 1, 1, 2]))),
    ],
    ids=["1 and 2", "all versions", "2 alone", "padded context", "other context", "other context of a stranger"],
)
def test_a_request_is_answered_by_its_version_and_its_context(
    listener: RunningListener, request_pdu: bytes, answer: tuple[int, bytes]
) -> None:
    """Of the version only bit 0 is tested (PS3.8 9.3.2); another application context is not supported (PS3.8 9.3.4)."""
    with RawPeer(listener.port) as peer:
        peer.send(request_pdu)
        kind, content = peer.receive_pdu()
    assert (kind, content if kind == A_ASSOCIATE_RJ else b"") == answer


def test_a_rejected_caller_that_goes_on_holds_no_thread(tmp_path: Path) -> None:
    """It drips in a PDU of 256 KiB, whose end nobody waits for, before its answer or behind it (PS3.8 9.2.3)."""
    with running_listener(listener_settings(tmp_path)) as running, RawPeer(running.port) as peer:
        peer.send(associate_request(calling=b"NOBODY") + struct.pack(">BxL", P_DATA, 256 * 1024))
        assert peer.receive_pdu()[0] == A_ASSOCIATE_RJ
        until(lambda: _has_dripped_out(peer), within_s=20, what="its threads end")


def test_a_caller_that_released_and_goes_on_holds_no_thread(tmp_path: Path) -> None:
    """Likewise: its place is free already."""
    with running_listener(listener_settings(tmp_path)) as running, RawPeer(running.port) as peer:
        assert peer.associate()[0] == A_ASSOCIATE_AC
        peer.send(pdu(A_RELEASE_RQ, bytes(4)) + struct.pack(">BxL", P_DATA, 256 * 1024))
        assert peer.receive_pdu()[0] == A_RELEASE_RP
        until(lambda: _has_dripped_out(peer), within_s=20, what="its threads end")


def test_a_rejected_caller_hears_why_whatever_it_said_behind(tmp_path: Path) -> None:
    """What nobody read does not turn the end of the connection into a reset, which may destroy the answer."""
    with running_listener(listener_settings(tmp_path)) as running, RawPeer(running.port) as peer:
        peer.send(associate_request(calling=b"NOBODY") + bytes(200_000))
        assert peer.receive_all() == pdu(A_ASSOCIATE_RJ, bytes([0, 1, 1, 3]))


def _has_dripped_out(peer: RawPeer) -> bool:
    """Whether no connection has a thread; says one byte more."""
    with suppress(OSError):
        peer.send(b"x")
    return not _threads_of_associations()


def _threads_of_associations() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if "process_request_thread" in name]
