"""A listener for which the system has no more threads."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from threading import Thread

import pytest

from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import AE_TITLE, SENDER, association, listener_settings, running_listener, send
from builders.raw_peer import A_ASSOCIATE_AC, RawPeer, associate_request
from builders.receiving_processes import CONTEXTS, children_of, further_than, listener_of_two, serves
from dicom_node.listen import server
from dicom_node.listen.channel import Channel, Message, Said
from storage.migrations import migrate

WITHIN_S = 60.0
UNSERVED = "no more threads can be started"

# The first thread of a connection is refused by the system.
PROCESS = """
import threading
from dicom_node.listen.process import main

start, refused = threading.Thread.start, []

def start_or_refuse(thread):
    if "process_request_thread" in thread.name and not refused:
        refused.append(thread)
        raise RuntimeError("can't start new thread")
    start(thread)

threading.Thread.start = start_or_refuse
main()
"""


@contextmanager
def without_threads(named: str) -> Iterator[None]:
    """The system starts no thread of this name."""
    start = Thread.start

    def start_or_refuse(thread: Thread) -> None:
        if named in thread.name:
            reason = "can't start new thread"
            raise RuntimeError(reason)
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Thread, "start", start_or_refuse)
        yield


def answer_of(port: int) -> tuple[int, bytes]:
    """What an association request is answered; nothing where the connection is closed."""
    with RawPeer(port) as peer:
        # Closed before it was sent, or while.
        with suppress(OSError):
            peer.send(associate_request())
        return peer.receive_pdu()


@pytest.mark.parametrize("named", ["process_request_thread", "AcceptorThread"])
def test_a_connection_without_a_thread_is_closed_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, named: str
) -> None:
    """The next one, for which there is a thread, is served."""
    with running_listener(listener_settings(tmp_path)) as running:
        with without_threads(named):
            assert [answer_of(running.port) for _ in range(5)] == [(0, b"")] * 5
        assert send(running.port, ct_instance()) == [0x0000]
    assert caplog.text.count(UNSERVED) == 1
    assert "RuntimeError" not in caplog.text


def test_a_call_to_itself_without_a_thread_does_not_end_the_listener(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a call without an answer."""
    monkeypatch.setattr(server, "_HEARTBEAT_S", 0.5)
    with running_listener(listener_settings(tmp_path)) as running:
        with without_threads("RequestorThread"):
            until(lambda: "does not answer itself" in caplog.text, within_s=WITHIN_S, what="a call failed")
        assert send(running.port, ct_instance()) == [0x0000]


def test_a_process_that_cannot_be_started_again_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener serves meanwhile; what was started for nothing is ended."""
    monkeypatch.setattr(server, "_HEARTBEAT_S", 0.5)
    with listener_of_two(listener_settings(tmp_path)) as (running, child):
        known = children_of(os.getpid())
        with without_threads("process 3"):
            os.kill(child, signal.SIGKILL)
            until(lambda: "it is tried again" in caplog.text, within_s=WITHIN_S, what="it was tried")
            with association(running.port, CONTEXTS) as opened:
                assert opened.is_established
        until(lambda: further_than(known), within_s=WITHIN_S, what="another one is started")
        (other,) = further_than(known)
        until(lambda: serves(running.port, other), within_s=WITHIN_S, what="it serves")


@contextmanager
def receiving_process(folder: Path) -> Iterator[Channel]:
    """A further receiving process, whose listener the test plays."""
    settings = listener_settings(folder)
    migrate(settings.database_url)
    path = folder / "settings.json"
    path.write_text(settings.model_dump_json(), encoding="utf-8")
    channel, theirs = Channel.pair()
    with closing(channel):
        with theirs:
            command = [sys.executable, "-c", PROCESS, str(theirs.fileno()), str(path)]
            process = Popen(command, pass_fds=(theirs.fileno(),))
        with process:
            assert heard(channel, Said.READY)
            yield channel
            channel.send(Said.STOP)
            assert process.wait(WITHIN_S) == 0


def heard(channel: Channel, said: Said) -> Message:
    """The next message of a kind."""
    while True:
        message = channel.receive(within_s=WITHIN_S)
        assert message
        if message.said is said:
            return message


@contextmanager
def given(channel: Channel) -> Iterator[socket.socket]:
    """The peer's end of a connection that the process is given."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        peer = socket.create_connection(door.getsockname(), timeout=WITHIN_S)
        accepted, address = door.accept()
    with peer:
        with accepted:
            channel.send(Said.CONNECTION, False, *address, connection=accepted)
        yield peer


def test_a_receiving_process_goes_on_after_a_connection_without_a_thread(tmp_path: Path) -> None:
    """The listener hears that the connection is over, else it would give the process ever fewer."""
    with receiving_process(tmp_path) as channel:
        with given(channel) as peer:
            assert peer.recv(1) == b""
            heard(channel, Said.CLOSED)
        with given(channel) as peer:
            peer.sendall(associate_request(calling=SENDER.encode(), called=AE_TITLE.encode()))
            question, _ = heard(channel, Said.MAY_ENTER).values
            channel.send(Said.PLACE, question, None)
            assert peer.recv(1) == bytes([A_ASSOCIATE_AC])
        heard(channel, Said.CLOSED)
