"""Which questions of callers are kept open, and what a report does to an object that is arriving."""

import gc
from threading import Event
from types import SimpleNamespace
from unittest import mock

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_ECHO, N_EVENT_REPORT

from config.settings import ListenSettings, Settings
from dicom_node.commitment import answers
from dicom_node.commitment.datasets import COMMITMENT_CLASS_UID, COMMITMENT_INSTANCE_UID, question
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.listen.dimse import ReceivingDimse
from storage.commitment_records import InquiryOutcome, Reference

CALLER, TRANSACTION = "CT1", "1.2.3.9"


class OpenAssociation:
    """An association as far as the SCP looks at it."""

    is_established = True
    requestor = SimpleNamespace(ae_title=CALLER)


def action(association: object, content: Dataset) -> mock.Mock:
    """An N-ACTION as pynetdicom hands it on."""
    request = SimpleNamespace(
        RequestedSOPClassUID=COMMITMENT_CLASS_UID, RequestedSOPInstanceUID=COMMITMENT_INSTANCE_UID
    )
    return mock.Mock(request=request, action_type=1, action_information=content, assoc=association)


@pytest.mark.parametrize(
    ("outcome", "status", "stays_open"),
    [
        (InquiryOutcome.TAKEN, answers.SUCCESS, True),
        (InquiryOutcome.OTHER_REFERENCES, answers.INVALID_ARGUMENT, False),
        (InquiryOutcome.TOO_MANY, answers.RESOURCE_LIMITATION, False),
    ],
)
def test_only_a_question_that_is_taken_stays_open(
    node_settings: Settings, outcome: InquiryOutcome, status: int, *, stays_open: bool
) -> None:
    """Refused ones leave nothing behind, however many come."""
    scp = CommitmentScp(node_settings, mock.Mock(ask=mock.Mock(return_value=outcome)))
    association = OpenAssociation()
    content = question(TRANSACTION, [Reference(sop_class_uid=CTImageStorage, sop_instance_uid="1.2.3.4")])
    assert scp.handle_action(action(association, content)) == (status, None)
    assert (_open_association(scp) is association) is stays_open
    del association
    gc.collect()
    assert _open_association(scp) is None


def _open_association(scp: CommitmentScp) -> object:
    question = scp.open_question(CALLER, TRANSACTION)
    return question.association if question else None


@pytest.fixture
def node_settings() -> Settings:
    """Settings that answer questions."""
    return Settings()


def test_a_report_of_the_node_ends_no_object_that_is_arriving() -> None:
    """An answer does: it is the last word about the object."""
    receiver = SimpleNamespace(listen=ListenSettings(), maximum_object_bytes=1)
    dimse = ReceivingDimse(Association(AE(), "acceptor"), receiver, stopping=Event(), name="")  # type: ignore[arg-type]  # as far as it looks
    dimse.is_receiving = True
    report, answer = N_EVENT_REPORT(), C_ECHO()
    report.MessageID, report.AffectedSOPClassUID, report.EventTypeID = 1, COMMITMENT_CLASS_UID, 1
    report.AffectedSOPInstanceUID = COMMITMENT_INSTANCE_UID
    answer.MessageIDBeingRespondedTo, answer.AffectedSOPClassUID, answer.Status = 1, "1.2.840.10008.1.1", 0
    with mock.patch.object(DIMSEServiceProvider, "send_msg"):
        dimse.send_msg(report, 1)
        assert dimse.is_receiving
        dimse.send_msg(answer, 1)
        assert not dimse.is_receiving
