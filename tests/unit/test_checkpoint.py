"""The answer to a request is not taken by the association's own thread."""

import threading

from pynetdicom import AE
from pynetdicom.association import MODE_REQUESTOR, Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from builders.ledger_scp import ledger_scp
from config.settings import Peer
from dicom_node.calling import Call, called
from dicom_node.checkpoint import CallerCheckpoint, guard_answers

WITHIN_S = 10


def guarded_association() -> Association:
    """One that was not opened, whose thread does not run."""
    association = Association(AE(), MODE_REQUESTOR)
    guard_answers(association)
    return association


def test_a_thread_that_passed_is_not_believed_to_be_paused() -> None:
    """A request that begins right after waits until the thread comes round."""
    association = guarded_association()
    association._is_paused = True
    association._reactor_checkpoint.wait()
    assert not association._is_paused


def test_nobody_passes_while_a_request_is_under_way() -> None:
    """Said before or after the thread asked to pass: it stays paused until the answer was taken."""
    association, passed = guarded_association(), threading.Event()
    checkpoint = association._reactor_checkpoint
    assert isinstance(checkpoint, CallerCheckpoint)
    association._is_paused = True
    checkpoint.clear()
    thread = threading.Thread(target=lambda: (checkpoint.wait(), passed.set()))
    thread.start()
    assert not checkpoint.wait(timeout=0.05)
    assert association._is_paused
    assert not passed.is_set()
    checkpoint.set()
    thread.join(WITHIN_S)
    assert passed.is_set()
    assert not association._is_paused


def test_a_thread_that_was_let_go_passes_although_the_next_request_begins_at_once() -> None:
    """And is not believed to be paused before it has come round."""
    association, passed = guarded_association(), threading.Event()
    checkpoint = association._reactor_checkpoint
    for _ in range(200):
        passed.clear()
        checkpoint.clear()
        association._is_paused = True
        thread = threading.Thread(target=lambda: (checkpoint.wait(), passed.set()))
        thread.start()
        while not checkpoint._waits:  # type: ignore[attr-defined]  # of CallerCheckpoint
            pass
        checkpoint.set()
        checkpoint.clear()
        assert not association._is_paused
        thread.join(WITHIN_S)
        assert passed.is_set()


def test_every_association_that_we_open_is_guarded() -> None:
    """From before its first request on."""
    with ledger_scp() as pacs:
        peer = Peer(name="pacs", ae_title=pacs.destination.ae_title, host="127.0.0.1", port=pacs.port)
        with called(peer, Call(own_aet="NODE", contexts=[build_context(Verification)])) as line:
            assert isinstance(line.association._reactor_checkpoint, CallerCheckpoint)
            assert line.association.send_c_echo().Status == 0x0000
