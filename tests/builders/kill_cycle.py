"""One kill of a node and what follows: it starts again, gets again what it did not acknowledge, and is checked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset

from builders.ct_series import CtSeries, ct_images
from builders.faulty_node import LISTEN_POINTS, FaultyNode
from builders.ledger_scp import LedgerScp
from builders.master_check import Checked, master_check
from builders.sender_ledger import SenderLedger

SLICES = 20
_SHAPE = (SLICES, 48, 48)
_SPACING_MM = (10.0, 6.7, 6.7)


def small_study(uid: str) -> Sequence[Dataset]:
    """A study that the engine for plain shapes analyses in no time."""
    images = ct_images(CtSeries(study_uid=uid, uid=f"{uid}.1", shape=_SHAPE, spacing_mm=_SPACING_MM))
    for image in images:
        image.PatientID, image.PatientName, image.PatientBirthDate, image.PatientSex = uid, "Phantom^Kill", "", ""
        image.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    return images


@contextmanager
def faulty_node(
    folder: Path,
    pacs: LedgerScp | None = None,
    *,
    parts: tuple[str, ...] = ("listen",),
    by_interpreter: bool = False,
) -> Iterator[FaultyNode]:
    """A node that runs only its listener so far, or not even that."""
    destinations = [pacs.destination] if pacs else []
    with FaultyNode(
        folder=folder, destinations=destinations, parts=parts, quiet_period_s=1.0, by_interpreter=by_interpreter
    ) as node:
        yield node


def kill_listener_at(node: FaultyNode, failpoint: str, study: Sequence[Dataset], *, arrival: int = 1) -> SenderLedger:
    """Send a study to a listener that dies at the failpoint; after its restart send the rest."""
    sent = SenderLedger()
    if node.is_running("listen"):
        node.stop("listen")
    node.start_with_failpoint("listen", failpoint, arrival=arrival)
    node.wait_until_it_listens()
    left = sent.send(node.port, study)
    node.wait_for_the_kill("listen")
    node.start_again("listen")
    sent.send_all(node.port, left)
    return sent


def kill_worker_at(node: FaultyNode, failpoint: str, study: Sequence[Dataset], *, arrival: int = 1) -> SenderLedger:
    """Send a study to a node whose worker dies at the failpoint; after its restart wait for the delivery."""
    sent = SenderLedger()
    if node.is_running("work"):
        node.stop("work")
    node.start_with_failpoint("work", failpoint, arrival=arrival)
    sent.send_all(node.port, study)
    node.wait_for_the_kill("work")
    node.start_again("work")
    node.wait_until_delivered(str(study[0].StudyInstanceUID))
    return sent


def kill_at(
    node: FaultyNode, failpoint: str, study_uid: str, *, arrival: int = 1, pacs: LedgerScp | None = None
) -> Checked:
    """One kill with everything after it, and the master check."""
    study = small_study(study_uid)
    if failpoint in LISTEN_POINTS:
        return master_check(node.data_dir, kill_listener_at(node, failpoint, study, arrival=arrival))
    sent = kill_worker_at(node, failpoint, study, arrival=arrival)
    return master_check(node.data_dir, sent, pacs)
