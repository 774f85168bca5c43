"""Each limit of the listener, on a listener that runs; slow senders are no reason to use one."""

import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance, encoded
from builders.listener import association, listener_settings, running_listener, send
from builders.raw_peer import A_ABORT, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA, RawPeer, p_data, status_of, store_request

CONTEXTS = [(CTImageStorage, [ExplicitVRLittleEndian])]
LOCAL_LIMIT = bytes([0, 2, 3, 2])
"""PS3.8 table 9-21: transient, service provider (presentation), local limit exceeded."""


def test_one_more_association_than_the_total_is_refused_at_once(tmp_path: Path) -> None:
    """64 by default, whoever has them; a place that becomes free is given again."""
    with running_listener(listener_settings(tmp_path)) as running, ExitStack() as peers:
        opened = [peers.enter_context(RawPeer(running.port, source=f"127.0.0.{2 + n % 8}")) for n in range(64)]
        assert {peer.associate()[0] for peer in opened} == {A_ASSOCIATE_AC}
        with RawPeer(running.port, source="127.0.0.20") as late:
            assert late.associate() == (A_ASSOCIATE_RJ, LOCAL_LIMIT)
        opened[0].send(bytes.fromhex("05 00 00000004 00000000"))
        assert opened[0].receive_pdu()[0] == 6
        until(lambda: is_let_in(running.port), within_s=10, what="the free place is given")


def is_let_in(port: int, source: str = "127.0.0.30") -> bool:
    """Whether an association from an address is accepted."""
    with RawPeer(port, source=source) as peer:
        return peer.associate()[0] == A_ASSOCIATE_AC


def test_one_address_gets_sixteen_and_others_are_not_affected(tmp_path: Path) -> None:
    """A peer that forgets to release takes nobody's place but its own."""
    with running_listener(listener_settings(tmp_path)) as running, ExitStack() as peers:
        opened = [peers.enter_context(RawPeer(running.port, source="127.0.0.2")) for _ in range(16)]
        assert {peer.associate()[0] for peer in opened} == {A_ASSOCIATE_AC}
        assert not is_let_in(running.port, "127.0.0.2")
        assert is_let_in(running.port, "127.0.0.3")


def test_five_hundred_silent_connections_keep_nobody_out(tmp_path: Path) -> None:
    """Of too many that do not speak the oldest go, never a newcomer; they are no associations."""
    with running_listener(listener_settings(tmp_path)) as running, ExitStack() as peers:
        silent = [peers.enter_context(RawPeer(running.port)) for _ in range(500)]
        assert is_let_in(running.port)
        assert silent[0].receive_pdu() == (0, b"")
        assert send(running.port, ct_instance()) == [0x0000]


def test_silent_connection_of_the_greediest_address_goes_first(tmp_path: Path) -> None:
    """A scanner does not cut a slow modality."""
    settings = listener_settings(tmp_path, maximum_silent_connections=4)
    with (
        running_listener(settings) as running,
        RawPeer(running.port, source="127.0.0.9") as modality,
        ExitStack() as peers,
    ):
        scanner = [peers.enter_context(RawPeer(running.port)) for _ in range(20)]
        assert scanner[0].receive_pdu() == (0, b"")
        assert modality.associate()[0] == A_ASSOCIATE_AC


def test_objects_of_an_association_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The one too many ends it; what was acknowledged stays."""
    with running_listener(listener_settings(tmp_path, maximum_association_objects=2)) as running:
        with association(running.port, CONTEXTS) as opened:
            assert [opened.send_c_store(ct_instance(number)).Status for number in (1, 2)] == [0x0000, 0x0000]
            assert "Status" not in opened.send_c_store(ct_instance(3))
        assert len(running.stored()) == 2
    assert "maximum_association_objects" in caplog.text


def test_bytes_of_an_association_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also within an object."""
    large = [ct_instance(number, Rows=512, Columns=512, PixelData=bytes(2**19)) for number in (1, 2)]
    with running_listener(listener_settings(tmp_path, maximum_association_bytes=2**20)) as running:
        with association(running.port, CONTEXTS) as opened:
            assert opened.send_c_store(large[0]).Status == 0x0000
            assert "Status" not in opened.send_c_store(large[1])
        assert len(running.stored()) == 1
        until(lambda: not running.partial_files(), within_s=10, what="the partial file is gone")
    assert "maximum_association_bytes" in caplog.text


def test_backlog_is_as_configured(tmp_path: Path) -> None:
    """As the kernel has it (ss(8): Send-Q of a listening socket)."""
    ss = shutil.which("ss")
    if ss is None:
        pytest.skip("ss is not installed: apt install iproute2")
    with running_listener(listener_settings(tmp_path, backlog=77)) as running:
        command = [ss, "-ltnH", f"sport = :{running.port}"]
        line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert line.split()[2] == "77"


def test_slow_sender_is_not_idle(tmp_path: Path) -> None:
    """A PDU that takes twice the network time-out, a piece now and then, is taken."""
    never = Event()
    with running_listener(listener_settings(tmp_path, network_timeout_s=4.0)) as running, RawPeer(running.port) as slow:
        slow.associate()
        image = ct_instance()
        request = store_request(image.SOPInstanceUID, encoded(image))
        step = len(request) // 10 + 1
        for start in range(0, len(request), step):
            slow.send(request[start : start + step])
            never.wait(0.8)
        kind, content = slow.receive_pdu()
        assert (kind, status_of(content)) == (P_DATA, 0x0000)


def test_sender_that_stops_within_a_pdu_is_cut_by_the_network_time_out(tmp_path: Path) -> None:
    """However long the PDU says it is."""
    with running_listener(listener_settings(tmp_path, network_timeout_s=0.5)) as running, RawPeer(running.port) as peer:
        peer.associate()
        peer.send(p_data(bytes(100_000), is_command=True, is_last=True)[:1000])
        assert peer.receive_pdu()[0] in {0, A_ABORT}
        with association(running.port, CONTEXTS) as opened:
            assert opened.is_established


def test_clock_that_is_set_ends_no_association(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs go by the monotonic clock."""
    real = time.time
    with running_listener(listener_settings(tmp_path)) as running, RawPeer(running.port) as peer:
        peer.associate()
        monkeypatch.setattr("pynetdicom.timer.time.time", lambda: real() + 86_400)
        image = ct_instance()
        Event().wait(0.5)
        peer.send(store_request(image.SOPInstanceUID, encoded(image)))
        assert status_of(peer.receive_pdu()[1]) == 0x0000
