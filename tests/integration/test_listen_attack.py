"""One bad peer harms nobody else."""

import resource
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import active_count

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance, encoded
from builders.listener import RunningListener, association, listener_settings, running_listener, send
from builders.raw_peer import (
    A_ABORT,
    A_ASSOCIATE_RJ,
    P_DATA,
    RawPeer,
    associate_request,
    p_data,
    pdu,
    store_command,
    store_request,
)

CONTEXTS = [(CTImageStorage, [ExplicitVRLittleEndian])]
UID = str(ct_instance().SOPInstanceUID)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One listener that goes through all of it."""
    data_dir = tmp_path_factory.mktemp("data")
    with running_listener(listener_settings(data_dir, maximum_object_bytes=2**20)) as running:
        yield running


def accepted_within_s(port: int) -> float:
    """How long a real sender waits for its association."""
    started_at_s = time.monotonic()
    with association(port, CONTEXTS) as opened:
        assert opened.is_established
        return time.monotonic() - started_at_s


@pytest.mark.parametrize(
    "said", [b"", b"\1\0\0", associate_request()[:60]], ids=["silent", "half header", "half request"]
)
def test_hundred_silent_connections_delay_nobody(listener: RunningListener, said: bytes) -> None:
    """A real sender is accepted in under two seconds beside them."""
    with ExitStack() as connections:
        for _ in range(100):
            connections.enter_context(RawPeer(listener.port)).send(said)
        assert accepted_within_s(listener.port) < 2


def test_rejected_callers_that_do_not_close_hold_few_threads(
    listener: RunningListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are and however long each may wait, the system has threads left for a real sender."""
    monkeypatch.setattr("dicom_node.listen.closing._CLOSE_WAIT_S", 60.0)
    before = active_count()
    with ExitStack() as connections:
        strangers = [connections.enter_context(RawPeer(listener.port)) for _ in range(60)]
        assert [stranger.associate(calling=b"STRANGER")[0] for stranger in strangers] == [A_ASSOCIATE_RJ] * 60
        until(lambda: active_count() - before <= 3 * 16, within_s=10, what="44 were closed without waiting on")
        assert accepted_within_s(listener.port) < 2
    until(lambda: active_count() <= before, within_s=10, what="all are gone")


def test_silent_connection_is_cut(tmp_path: Path) -> None:
    """Who connects and does not ask for an association loses the connection."""
    settings = listener_settings(tmp_path, first_pdu_timeout_s=0.2)
    with running_listener(settings) as running, RawPeer(running.port) as peer:
        assert peer.receive_pdu() == (0, b"")


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x0bMSH|^~\\&|",
        struct.pack(">BxL", 1, 0xFFFFFFFF),
        struct.pack(">BxL", 4, 100),
        struct.pack(">BxL", 9, 100),
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_what_is_no_association_request_is_cut_at_once(listener: RunningListener, said: bytes) -> None:
    """HTTP, HL7, TLS and lies about lengths get no answer and no memory."""
    with RawPeer(listener.port) as peer:
        peer.send(said)
        assert peer.receive_pdu() == (0, b"")


def test_lie_about_the_length_of_a_pdu_costs_no_memory(listener: RunningListener) -> None:
    """A PDU of 4 GiB within an association is cut before it is read."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(struct.pack(">BxL", P_DATA, 0xFFFFFFFF))
        assert peer.receive_pdu()[0] in {0, A_ABORT}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 32 * 1024


MALFORMED: dict[str, Callable[[], bytes]] = {
    "empty PDV": lambda: pdu(P_DATA, struct.pack(">L", 0)),
    "PDV without content": lambda: pdu(P_DATA, struct.pack(">LBB", 2, 1, 3)),
    "PDV longer than its PDU": lambda: pdu(P_DATA, struct.pack(">LBB", 1000, 1, 3)),
    "garbage command": lambda: p_data(b"\xff" * 40, is_command=True, is_last=True),
    "no command field": lambda: p_data(store_command(UID, CommandField=None), is_command=True, is_last=True),
    "unknown command": lambda: p_data(store_command(UID, CommandField=0x7777), is_command=True, is_last=True),
    "no data set type": lambda: p_data(store_command(UID, CommandDataSetType=None), is_command=True, is_last=True),
    "data before command": lambda: p_data(b"x" * 100, is_command=False, is_last=True),
    "endless command": lambda: p_data(bytes(15000), is_command=True, is_last=False) * 8,
    "query on a storage context": lambda: store_request(UID, b"x" * 100, CommandField=0x0020),
    "other context": lambda: (
        p_data(store_command(UID), is_command=True, is_last=True).replace(b"\1\3", b"\7\3", 1)
        + p_data(b"x", is_command=False, is_last=True)
    ),
    "second request before the answer": lambda: store_request(UID, encoded(ct_instance())) * 3,
    "association request again": associate_request,
    "release response out of the blue": lambda: pdu(6, bytes(4)),
    "unknown PDU": lambda: pdu(9, bytes(4)),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")
def test_malformed_message_ends_only_its_association(listener: RunningListener, kind: str) -> None:
    """Nonsense in an association harms neither the node nor another sender."""
    with association(listener.port, CONTEXTS) as other, RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(MALFORMED[kind]())
        assert other.send_c_store(ct_instance(2)).Status == 0x0000
    until(lambda: not listener.partial_files(), within_s=15, what="partial files are gone")
    assert send(listener.port, ct_instance(3)) == [0x0000]


@pytest.mark.parametrize("ending", [b"", pdu(A_ABORT, bytes(4))], ids=["closed", "aborted"])
def test_half_an_object_leaves_nothing(listener: RunningListener, ending: bytes) -> None:
    """Earlier objects of the association stay, the partial one goes."""
    whole = ct_instance(study=f"5.{len(ending)}")
    data = encoded(whole)
    with RawPeer(listener.port) as peer:
        peer.associate()
        peer.send(store_request(whole.SOPInstanceUID, data))
        assert peer.receive_pdu()[0] == P_DATA
        peer.send(p_data(store_command(UID), is_command=True, is_last=True))
        peer.send(p_data(data[:200], is_command=False, is_last=False))
        until(lambda: listener.partial_files(), within_s=10, what="the object is arriving")
        peer.send(ending)
    until(lambda: not listener.partial_files(), within_s=10, what="the partial file is gone")
    assert len(listener.stored(f"5.{len(ending)}")) == 1


def test_sender_that_falls_silent_within_an_object_is_cut(tmp_path: Path) -> None:
    """The network time-out frees the place and the disk."""
    with running_listener(listener_settings(tmp_path, network_timeout_s=0.5)) as running, RawPeer(running.port) as peer:
        peer.associate()
        peer.send(p_data(store_command(UID), is_command=True, is_last=True))
        peer.send(p_data(b"x" * 200, is_command=False, is_last=False))
        assert peer.receive_pdu()[0] in {0, A_ABORT}
        until(lambda: not running.partial_files(), within_s=10, what="the partial file is gone")
