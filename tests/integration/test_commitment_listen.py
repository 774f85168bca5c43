"""Storage commitment at the listener: reports of archives, questions of modalities."""

import threading
from functools import partial
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage
from pynetdicom import AE, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StorageCommitmentPushModel,
)

from builders.committing_archive import committing_archive, report_content, report_to
from builders.deadline import until
from builders.delivered import BACK_OFF, add_result
from builders.instances import ct_instance
from builders.listener import AE_TITLE, SENDER, listener_settings, running_listener, send
from builders.modality import Modality, ask, asking, listening_modality, named
from builders.ports import free_port
from builders.receiving_processes import listener_of_two, rest, spread
from config.settings import Peer, Settings
from dicom_node.clock import SystemClock
from dicom_node.commitment.scu import CommitmentScu, rules_from
from dicom_node.outbox import Outbox
from storage.database import open_engine
from storage.index import Index
from storage.migrations import migrate

WITHIN_S = 60.0
STUDY = "1.2.3.4"
MANY = 200


def settings_of(data_dir: Path, *peers: Peer, **listen: object) -> Settings:
    """Settings of a node that knows these peers."""
    return listener_settings(data_dir, **listen).model_copy(update={"peers": peers})


def sender(port: int = 104) -> Peer:
    """The modality as the configuration names it."""
    return Peer(name="ct", ae_title=SENDER, host="127.0.0.1", port=port)


def sent(port: int, count: int = 3) -> list[tuple[str, str]]:
    """Images that the node took, as class and UID."""
    images = [ct_instance(number, study=STUDY) for number in range(1, count + 1)]
    assert set(send(port, *images)) == {0}
    return [(str(image.SOPClassUID), str(image.SOPInstanceUID)) for image in images]


def reasons(content: Dataset) -> dict[str, int]:
    """Failure reason of each instance that is not kept."""
    return {str(item.ReferencedSOPInstanceUID): item.FailureReason for item in content.get("FailedSOPSequence") or ()}


def test_a_caller_that_stays_gets_its_report_on_the_same_association(tmp_path: Path) -> None:
    """All that it sent is kept, and the association goes on to be used."""
    modality = Modality()
    with running_listener(settings_of(tmp_path, sender())) as listener:
        images = sent(listener.port)
        with asking(listener.port, modality) as association:
            assert ask(association, "2.25.1", *images) == 0x0000
            event_type, content = modality.next_report()
            assert association.send_c_store(ct_instance(9, study=STUDY)).Status == 0x0000
    assert event_type == 1
    assert content.TransactionUID == "2.25.1"
    assert named(content, "ReferencedSOPSequence") == [uid for _, uid in images]
    assert "FailedSOPSequence" not in content


def test_a_caller_of_a_further_process_gets_its_report_on_the_same_association(tmp_path: Path) -> None:
    """The first of two callers at a time is served by the listener itself, the second by the other process."""
    first, second = Modality(), Modality()
    with listener_of_two(settings_of(tmp_path, sender())) as (listener, child):
        images = sent(listener.port)
        rest(listener.port)
        callers = [partial(asking, listener.port, modality) for modality in (first, second)]
        with spread(child, *callers) as (one, other):
            assert [ask(one, "2.25.11", images[0]), ask(other, "2.25.12", images[1])] == [0x0000] * 2
            contents = [modality.next_report()[1] for modality in (first, second)]
            assert other.send_c_store(ct_instance(9, study=STUDY)).Status == 0x0000
    assert [named(content, "ReferencedSOPSequence") for content in contents] == [[images[0][1]], [images[1][1]]]


def test_a_caller_that_left_is_called_and_told_what_is_not_kept(tmp_path: Path) -> None:
    """Each kind of failure has its reason (PS3.3 C.14); what is whole is kept."""
    with listening_modality() as modality, running_listener(settings_of(tmp_path, sender(modality.port))) as listener:
        images = sent(listener.port, count=5)
        files = [listener.settings.data_dir / one.path for one in listener.stored(STUDY)]
        files[1].unlink()
        files[2].write_bytes(files[2].read_bytes()[:-1])
        damaged = bytearray(files[3].read_bytes())
        damaged[-1] ^= 1
        files[3].write_bytes(damaged)
        other_class = (str(ComprehensiveSRStorage), images[4][1])
        asked = [*images[:4], other_class, (str(CTImageStorage), "1.2.3.99")]
        with asking(listener.port, modality) as association:
            assert ask(association, "2.25.2", *asked) == 0x0000
        event_type, content = modality.next_report()
    assert event_type == 2
    assert named(content, "ReferencedSOPSequence") == [images[0][1]]
    assert [reasons(content)[uid] for _, uid in asked[1:]] == [0x0110, 0x0110, 0x0110, 0x0119, 0x0112]


def test_a_question_is_answered_after_a_restart(tmp_path: Path) -> None:
    """The caller could not be reached before; what it asked is in the index."""
    port = free_port()
    with running_listener(settings_of(tmp_path, sender(port))) as listener:
        images = sent(listener.port)
        with asking(listener.port, Modality()) as association:
            assert ask(association, "2.25.3", *images) == 0x0000
    with listening_modality() as modality, running_listener(settings_of(tmp_path, sender(modality.port))):
        event_type, content = modality.next_report()
    assert event_type == 1
    assert named(content, "ReferencedSOPSequence") == [uid for _, uid in images]


def test_a_question_that_comes_again_is_answered_again_and_never_mixed_with_another(tmp_path: Path) -> None:
    """The same transaction for other instances is refused."""
    modality = Modality()
    with running_listener(settings_of(tmp_path, sender())) as listener:
        images = sent(listener.port)
        with asking(listener.port, modality) as association:
            for _ in range(2):
                assert ask(association, "2.25.4", *images) == 0x0000
                assert modality.next_report()[0] == 1
            assert ask(association, "2.25.4", images[0]) == 0x0115


@pytest.mark.parametrize(
    ("uid", "count", "action_type", "status"),
    [("2.25.5", 1, 2, 0x0123), ("2.25.5", 0, 1, 0x0115), ("", 1, 1, 0x0115), ("2.25.5", MANY + 1, 1, 0x0213)],
    ids=["unknown action", "no instances", "no transaction", "too many instances"],
)
def test_a_bad_question_is_answered_by_a_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: str, count: int, action_type: int, status: int
) -> None:
    """And the association goes on."""
    monkeypatch.setattr("dicom_node.commitment.datasets.MAXIMUM_REFERENCES", MANY)
    with (
        running_listener(settings_of(tmp_path, sender())) as listener,
        asking(listener.port, Modality()) as association,
    ):
        instances = [(str(CTImageStorage), f"1.2.{number}") for number in range(count)]
        assert ask(association, uid, *instances, action_type=action_type) == status
        assert association.send_c_store(ct_instance(1, study=STUDY)).Status == 0x0000


def test_a_node_may_be_told_to_answer_no_questions(tmp_path: Path) -> None:
    """Where an archive is to be asked and not the node."""
    archive = Peer(
        name="pacs", ae_title="PACS", host="127.0.0.1", port=104, receives_results=True, storage_commitment=True
    )
    settings = settings_of(tmp_path, sender(), archive, answer_storage_commitment=False)
    with running_listener(settings) as listener, asking(listener.port, Modality()) as association:
        assert ask(association, "2.25.6", (str(CTImageStorage), "1.2.3")) == 0x0124


def test_an_archive_that_may_not_send_reports_on_an_association_of_its_own(tmp_path: Path) -> None:
    """The report of the archive is taken once; a double, a stranger's and an unknown one get a status."""
    migrate(f"sqlite:///{tmp_path}/index.sqlite")
    with committing_archive(sop_class_uids=[ComprehensiveSRStorage]) as archive:
        pacs = archive.peer.model_copy(update={"may_send": False})
        settings = settings_of(tmp_path, sender(), pacs)
        index = Index(open_engine(settings.database_url), now=SystemClock().now)
        uids = add_result(index, tmp_path, "1.2.3", objects=2)
        Outbox(index, pacs, own_aet=AE_TITLE, back_off=BACK_OFF, clock=SystemClock()).send_due()
        with running_listener(settings) as listener:
            scu = CommitmentScu(index, pacs, own_aet=AE_TITLE, rules=rules_from(settings), clock=SystemClock())
            asked = threading.Thread(target=scu.ask_due)
            asked.start()
            until(lambda: archive.questions, within_s=WITHIN_S, what="the archive is asked")
            content = report_content(archive.transaction_uids[0], uids[:1], {uids[1]: 0x0112})
            statuses = [
                report_to(listener.port, report_content(archive.transaction_uids[0], [])),
                report_to(listener.port, content, event_type=3),
                report_to(listener.port, content, event_type=2, calling_aet=SENDER),
                report_to(listener.port, report_content("2.25.9", uids)),
                report_to(listener.port, content, event_type=2),
                report_to(listener.port, content, event_type=2),
            ]
            asked.join(WITHIN_S)
            assert not asked.is_alive()
    assert statuses == [0x0115, 0x0113, 0x0115, 0x0115, 0x0000, 0x0000]
    view = index.study("1.2.3")
    assert view is not None
    assert [one.commitment.state for one in view.deliveries if one.commitment] == ["committed", "resending"]
    index.close()


def test_an_archive_that_may_only_report_cannot_send(tmp_path: Path) -> None:
    """Its storage classes are not accepted."""
    archive = Peer(
        name="pacs",
        ae_title="ARCHIVE",
        host="127.0.0.1",
        port=104,
        may_send=False,
        receives_results=True,
        storage_commitment=True,
    )
    with running_listener(settings_of(tmp_path, sender(), archive)) as listener:
        ae = AE(ae_title="ARCHIVE")
        ae.add_requested_context(CTImageStorage)
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate(
            "127.0.0.1",
            listener.port,
            ae_title=AE_TITLE,
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        )
        accepted = [one.abstract_syntax for one in association.accepted_contexts]
        association.release()
    assert accepted == [StorageCommitmentPushModel]
