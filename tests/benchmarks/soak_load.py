"""What a department does to a node all day, good and bad, at a moderate pace."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Lock

from pydicom.uid import MRImageStorage

from builders.instances import ct_instance, encoded
from builders.kill_cycle import small_study
from builders.listener import VERIFICATION, association
from builders.node import AE_TITLE
from builders.raw_peer import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, RawPeer, status_of, store_request
from builders.sender_ledger import SenderLedger

IMPLICIT = "1.2.840.10008.1.2"
OBJECTS_A_STUDY = 20
ROWS = 256
PIXELS = bytes(ROWS * ROWS * 2)
HALF = 400
"""Bytes of a C-STORE request after which its sender goes away."""


@dataclass(slots=True, kw_only=True)
class Load:
    """Senders of every kind at one port, and what they saw."""

    port: int
    sent: SenderLedger = field(default_factory=SenderLedger)
    done: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _lock: Lock = field(default_factory=Lock)

    def store(self) -> None:
        """A study of MR images: received, kept and never analysed."""
        uid = self._new_uid()
        changes = {"PatientID": uid, "Rows": ROWS, "Columns": ROWS, "PixelData": PIXELS}
        changes |= {"SOPClassUID": MRImageStorage, "Modality": "MR"}
        self.sent.send_all(self.port, [ct_instance(number, study=uid, **changes) for number in range(OBJECTS_A_STUDY)])

    def analyse(self) -> None:
        """A CT study that the worker analyses and sends on."""
        self.sent.send_all(self.port, small_study(self._new_uid()))

    def echo(self) -> None:
        """C-ECHO in an association of its own."""
        with association(self.port, [(VERIFICATION, [IMPLICIT])], called_aet=AE_TITLE) as opened:
            assert opened.send_c_echo().Status == 0x0000

    def vanish(self) -> None:
        """A sender whose connection goes in the middle of an object."""
        dataset = ct_instance(1, study=self._new_uid())
        with RawPeer(self.port) as peer:
            assert peer.associate(called=AE_TITLE.encode())[0] == A_ASSOCIATE_AC
            peer.send(store_request(str(dataset.SOPInstanceUID), encoded(dataset))[:HALF])

    def be_rejected(self) -> None:
        """A caller that means another node."""
        with RawPeer(self.port) as peer:
            assert peer.associate(called=b"ELSEWHERE")[0] == A_ASSOCIATE_RJ

    def be_refused(self) -> None:
        """An object whose UID is a path, then garbage."""
        hostile = ct_instance(1, study=self._new_uid(), SOPInstanceUID="../../1.2")
        with RawPeer(self.port) as peer:
            assert peer.associate(called=AE_TITLE.encode())[0] == A_ASSOCIATE_AC
            peer.send(store_request("../../1.2", encoded(hostile)))
            assert status_of(peer.receive_pdu()[1]) != 0x0000
            peer.send(b"GET / HTTP/1.1\r\n\r\n")

    def be_silent(self) -> None:
        """A connection that says nothing until the node cuts it."""
        with RawPeer(self.port) as peer:
            peer.receive_pdu()

    def _new_uid(self) -> str:
        with self._lock:
            # What follows is the number of an image: 7.1 and 12 is not to be 7.11 and 2.
            return f"1.2.826.0.1.7.{next(self._numbers)}.0"

    def repeat(self, work: Callable[[], None], pause_s: float, stop: Event) -> None:
        """Do one thing again and again."""
        while not stop.wait(pause_s):
            try:
                work()
            except (AssertionError, OSError) as problem:
                self.problems.append(f"{work.__name__}: {type(problem).__name__}: {problem}"[:200])
                sys.stderr.write(f"{self.problems[-1]}\n")
            self.done[work.__name__] += 1


@contextmanager
def under_load(load: Load, *, pause_s: float, analyse_every_s: float) -> Iterator[None]:
    """All senders at work for as long as the block lasts."""
    stop = Event()
    kinds = (
        *((load.store, 3 * pause_s),) * 3,
        (load.echo, pause_s),
        (load.vanish, 2 * pause_s),
        (load.be_rejected, 2 * pause_s),
        (load.be_refused, 2 * pause_s),
        (load.be_silent, pause_s),
        (load.analyse, analyse_every_s),
    )
    with ThreadPoolExecutor(len(kinds)) as senders:
        running = [senders.submit(load.repeat, work, every_s, stop) for work, every_s in kinds]
        try:
            yield
        finally:
            stop.set()
    for one in running:
        one.result()
