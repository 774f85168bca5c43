"""Conversations of real senders with the listener, recorded PDU by PDU."""

import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from builders.instances import compressed_ct_instance, ct_instance, dose_report
from builders.listener import AE_TITLE, SENDER, VERIFICATION, association, send

IAN = "1.2.840.10008.5.1.4.33"
"""Instance Availability Notification (PS3.4 R)."""

Conversation = tuple[bytes, ...]
"""What the sender says, one PDU each."""


def record_conversations(port: int, folder: Path) -> list[Conversation]:
    """What senders say to a listener that takes notices: echo, store, notify, release; DCMTK's too where it is there."""
    return [
        _recorded(port, _echo),
        _recorded(port, lambda relay: _store(relay, ct_instance(1), ct_instance(2))),
        _recorded(port, lambda relay: _store(relay, dose_report(), compressed_ct_instance(b"opaque"))),
        _recorded(port, _notify),
        *_dcmtk(port, folder),
    ]


def pdus_of(stream: bytes) -> Conversation:
    """A stream of PDUs, cut by their lengths (PS3.8 9.3.1)."""
    found = []
    while stream:
        (length,) = struct.unpack_from(">L", stream, 2)
        found.append(stream[: 6 + length])
        stream = stream[6 + length :]
    return tuple(found)


def _echo(port: int) -> None:
    with association(port, [(VERIFICATION, [ExplicitVRLittleEndian])]) as opened:
        assert opened.send_c_echo().Status == 0x0000


def _store(port: int, *datasets: Dataset) -> None:
    assert set(send(port, *datasets)) == {0x0000}


def _notify(port: int) -> None:
    notice, series, image = Dataset(), Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.9"
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.3.8", [image]
    notice.StudyInstanceUID, notice.ReferencedSeriesSequence = "1.2.3.7", [series]
    with association(port, [(IAN, [ExplicitVRLittleEndian])]) as opened:
        status, _ = opened.send_n_create(notice, IAN, "1.2.3.6")
        assert status.Status == 0x0000


def _dcmtk(port: int, folder: Path) -> list[Conversation]:
    program = which("storescu")
    if program is None:
        return []
    path = folder / "recorded.dcm"
    ct_instance(3).save_as(path, enforce_file_format=True)

    def store(relay: int) -> None:
        titles = ["-aet", SENDER, "-aec", AE_TITLE]
        subprocess.run([program, *titles, "127.0.0.1", str(relay), str(path)], check=True, timeout=60)

    return [_recorded(port, store)]


def _recorded(port: int, talk: Callable[[int], None]) -> Conversation:
    heard = bytearray()
    with _relay(port, heard) as relay:
        talk(relay)
    return pdus_of(bytes(heard))


@contextmanager
def _relay(port: int, heard: bytearray) -> Iterator[int]:
    """A port that passes one connection on, and keeps what its caller says."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_pass_on, args=(server, port, heard))
        thread.start()
        yield server.getsockname()[1]
        thread.join(timeout=30)


def _pass_on(server: socket.socket, port: int, heard: bytearray) -> None:
    caller, _ = server.accept()
    with caller, socket.create_connection(("127.0.0.1", port)) as listener:
        answers = threading.Thread(target=_copy, args=(listener, caller, bytearray()))
        answers.start()
        _copy(caller, listener, heard)
        answers.join(timeout=30)


def _copy(source: socket.socket, target: socket.socket, heard: bytearray) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            heard += piece
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
