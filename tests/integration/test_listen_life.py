"""Start, sign of life, stop of the listener."""

import queue
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from builders.deadline import until
from builders.instances import ct_instance, encoded
from builders.listener import STARTED_WITHIN_S, association, listener_settings, running_listener, send
from builders.raw_peer import A_ABORT, A_ASSOCIATE_AC, P_DATA, RawPeer, p_data, status_of, store_command
from dicom_node.clock import SystemClock
from dicom_node.listen import finishing
from dicom_node.listen.errors import ListenError
from dicom_node.listen.server import run_listener
from storage.database import open_engine
from storage.errors import DataFolderInUseError
from storage.index import Index

UID = str(ct_instance().SOPInstanceUID)


def test_second_listener_on_one_data_folder_is_refused(tmp_path: Path) -> None:
    """The first goes on unharmed."""
    settings = listener_settings(tmp_path)
    with running_listener(settings) as first:
        with pytest.raises(DataFolderInUseError):
            run_listener(settings, stop=threading.Event(), on_ready=lambda _: None)
        assert send(first.port, ct_instance()) == [0x0000]


def test_address_in_use_is_said_in_our_words(tmp_path: Path) -> None:
    """The message names the setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = listener_settings(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ListenError, match=r"\[listen\]\.port"):
            run_listener(settings, stop=threading.Event(), on_ready=lambda _: None)


def test_partial_files_of_an_earlier_run_are_swept(tmp_path: Path) -> None:
    """What a killed listener left is gone when the next one listens."""
    leftover = tmp_path / "incoming" / "abc.part"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half")
    with running_listener(listener_settings(tmp_path)):
        assert not leftover.exists()


def test_listener_leaves_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row in the index and a word to the service manager, after it answered itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with running_listener(listener_settings(tmp_path)) as running:
            assert manager.recv(100) == b"WATCHDOG=1"
            index = Index(open_engine(running.settings.database_url), now=SystemClock().now)
            until(index.heartbeats, within_s=15, what="the index has a sign of life")
            assert [beat.process for beat in index.heartbeats()] == ["listen"]
            index.close()


def test_object_that_is_arriving_is_finished_before_the_stop(tmp_path: Path) -> None:
    """Stop while half an object is here: the other half is taken and acknowledged, nothing after it."""
    data, ports, stop = encoded(ct_instance()), queue.SimpleQueue[int](), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(run_listener, listener_settings(tmp_path), stop=stop, on_ready=ports.put)
        with RawPeer(ports.get(timeout=STARTED_WITHIN_S)) as peer:
            peer.associate()
            peer.send(p_data(store_command(UID), is_command=True, is_last=True))
            peer.send(p_data(data[:100], is_command=False, is_last=False))
            until(lambda: list(tmp_path.glob("incoming/*.part")), within_s=10, what="the object is arriving")
            stop.set()
            assert not ended.done()
            peer.send(p_data(data[100:], is_command=False, is_last=True))
            kind, answer = peer.receive_pdu()
            assert (kind, status_of(answer)) == (P_DATA, 0x0000)
            ended.result(timeout=20)


def test_object_that_never_ends_does_not_hold_up_the_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time the association is aborted; the sender was not told Success."""
    monkeypatch.setattr(finishing, "FINISH_OBJECTS_S", 0.2)
    ports, stop = queue.SimpleQueue[int](), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        ended = executor.submit(run_listener, listener_settings(tmp_path), stop=stop, on_ready=ports.put)
        with RawPeer(ports.get(timeout=STARTED_WITHIN_S)) as peer:
            peer.associate()
            peer.send(p_data(store_command(UID), is_command=True, is_last=True))
            peer.send(p_data(b"x" * 100, is_command=False, is_last=False))
            until(lambda: list(tmp_path.glob("incoming/*.part")), within_s=10, what="the object is arriving")
            stop.set()
            assert peer.receive_pdu()[0] in {0, A_ABORT}
            ended.result(timeout=20)
    until(lambda: not list(tmp_path.glob("incoming/*.part")), within_s=10, what="the partial file is gone")


def test_idle_association_does_not_delay_the_stop(tmp_path: Path) -> None:
    """Associations without an object on its way are aborted at once."""
    with running_listener(listener_settings(tmp_path)) as running:
        idle = association(running.port, [(CTImageStorage, [ExplicitVRLittleEndian])])
        opened = idle.__enter__()
        assert opened.is_established
    until(lambda: not opened.is_established, within_s=10, what="the association is over")


def test_peers_that_do_not_close_hold_up_the_stop_together(tmp_path: Path) -> None:
    """Each is told of the abort at once, none after the moment that another one has for closing."""
    stop, ports = threading.Event(), queue.SimpleQueue[int]()
    with ThreadPoolExecutor(1) as executor, ExitStack() as open_ones:
        ended = executor.submit(run_listener, listener_settings(tmp_path), stop=stop, on_ready=ports.put)
        port = ports.get(timeout=STARTED_WITHIN_S)
        peers = [open_ones.enter_context(RawPeer(port)) for _ in range(16)]
        assert {peer.associate()[0] for peer in peers} == {A_ASSOCIATE_AC}
        stop.set()
        ended.result(timeout=12)
        assert {peer.receive_pdu()[0] for peer in peers} == {A_ABORT}


def test_listener_loads_neither_torch_nor_the_pipeline() -> None:
    """A fault of CUDA or of the weights cannot reach the listener."""
    code = "import sys, dicom_node.listen; print(sorted({'torch', 'pipeline', 'SimpleITK'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
