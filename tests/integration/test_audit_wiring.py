"""What the parts of the node write into the audit trail."""

import json
from pathlib import Path
from xml.etree.ElementTree import Element

from pydicom.uid import ComprehensiveSRStorage

from builders.audit import build_trail, recorded
from builders.clock import FakeClock
from builders.delivered import BACK_OFF, STUDY, index_with_result
from builders.engines import storage_table
from builders.index import build_index, received
from builders.instances import ct_instance
from builders.listener import SENDER, association, listener_settings, running_listener, send
from builders.node import run_dicom_node
from builders.scripted_scp import scripted_scp
from dicom_node.audit.deliveries import DeliveryAudit
from dicom_node.audit.verifying import verify
from dicom_node.outbox import Outbox

CONTEXT = [("1.2.840.10008.5.1.4.1.1.2", ["1.2.840.10008.1.2.1"])]


def users(message: Element) -> list[str]:
    """Who took part."""
    return [str(one.get("UserID")) for one in message.iter("ActiveParticipant")]


def test_listener_writes_one_event_an_association(tmp_path: Path) -> None:
    """With sender, study, patient and the number of objects; its start and stop stand around it."""
    sent = [ct_instance(number) for number in range(1, 4)]
    with running_listener(listener_settings(tmp_path)) as running:
        assert send(running.port, *sent) == [0, 0, 0]
    (transfer,) = recorded(tmp_path / "audit", "DICOM Instances Transferred")
    assert users(transfer)[0] == SENDER
    assert [one.get("NumberOfInstances") for one in transfer.iter("SOPClass")] == ["3"]
    named = {one.get("ParticipantObjectID") for one in transfer.iter("ParticipantObjectIdentification")}
    assert str(sent[0].StudyInstanceUID) in named
    assert any(str(sent[0].PatientID) in str(one) for one in named)
    assert len(recorded(tmp_path / "audit", "Application Activity")) == 2
    assert verify(tmp_path / "audit").passed


def test_refused_caller_is_a_security_alert(tmp_path: Path) -> None:
    """Once, however often it calls in a minute."""
    with running_listener(listener_settings(tmp_path)) as running:
        for _ in range(3):
            with association(running.port, CONTEXT, calling_aet="STRANGER") as refused:
                assert refused.is_rejected
    (alert,) = recorded(tmp_path / "audit", "Security Alert")
    assert users(alert)[1] == "STRANGER"
    assert recorded(tmp_path / "audit", "DICOM Instances Transferred") == []


def outcomes(folder: Path, answer: int) -> list[tuple[str, str]]:
    """What a delivery that the destination answers so leaves in the trail: event and outcome."""
    clock = FakeClock()
    index, _ = index_with_result(folder, clock, objects=1)
    with scripted_scp(lambda _: answer, sop_class_uids=[ComprehensiveSRStorage]) as scp:
        outbox = Outbox(index, scp.peer, own_aet="NODE", back_off=BACK_OFF, clock=clock)
        outbox.audit = DeliveryAudit(build_trail(folder / "audit"), index, scp.peer, own_aet="NODE")
        outbox.send_due()
        outbox.send_due()
    index.close()
    found = []
    for meaning in ("Begin Transferring DICOM Instances", "DICOM Instances Transferred"):
        for message in recorded(folder / "audit", meaning):
            assert users(message)[0] == "NODE"
            assert STUDY in {one.get("ParticipantObjectID") for one in message.iter("ParticipantObjectIdentification")}
            found.append((meaning, str(message.find("EventIdentification").get("EventOutcomeIndicator"))))
    return found


def test_delivery_is_written_at_its_begin_and_end(tmp_path: Path) -> None:
    """What was taken is a success, what was not a failure; a look with nothing to send leaves nothing."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    begin = ("Begin Transferring DICOM Instances", "0")
    assert outcomes(tmp_path / "a", 0x0000) == [begin, ("DICOM Instances Transferred", "0")]
    assert outcomes(tmp_path / "b", 0xA900) == [begin, ("DICOM Instances Transferred", "4")]


def test_commands_leave_who_looked_at_whom(tmp_path: Path) -> None:
    """And `audit verify` goes through it, says so as JSON, and fails when a line was changed."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received()])
    index.close()
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path}"\n{storage_table(tmp_path)}', encoding="utf-8")
    assert run_dicom_node("--config", str(config), "study", "show", "1.2.3").returncode == 0
    (seen,) = recorded(tmp_path / "audit", "DICOM Instances Accessed")
    assert seen.find("EventIdentification").get("EventActionCode") == "R"
    assert "4711^^^CITY" in {one.get("ParticipantObjectID") for one in seen.iter("ParticipantObjectIdentification")}
    done = run_dicom_node("--config", str(config), "audit", "verify", "--json")
    assert (done.returncode, json.loads(done.stdout)["lines"]) == (0, 1)
    path = tmp_path / "audit" / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"4711", b"4712"))
    done = run_dicom_node("--config", str(config), "audit", "verify")
    assert done.returncode == 1
    assert "audit.jsonl:1: line 1 was changed" in done.stdout
