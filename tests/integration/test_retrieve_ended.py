"""An association with a PACS that ends after it was opened and before anything is asked over it."""

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset

from builders.scripted_archive import Script, scripted_archive
from dicom_node.errors import NodeError
from dicom_node.retrieve.association import Conversation, StopSwitch, conversation
from dicom_node.retrieve.errors import ArchiveFailedError, ArchiveSilentError
from dicom_node.retrieve.find import FIND_MODEL, FIND_OFFER


def aborted(talk: Conversation) -> None:
    """As when the PACS ends it."""
    talk.association.abort()


def cut(talk: Conversation) -> None:
    """As when the limit passes."""
    talk.cut()
    talk.association.join(20.0)


@pytest.mark.parametrize(("end", "expected"), [(aborted, ArchiveFailedError), (cut, ArchiveSilentError)])
def test_an_association_that_ended_before_the_question_is_a_failure_of_the_pacs(
    end: Callable[[Conversation], None], expected: type[NodeError]
) -> None:
    """Not an error of the library that nobody expects: on a busy machine the limit passes there."""
    with (
        scripted_archive(Script()) as peer,
        pytest.raises(expected),
        conversation(peer, FIND_OFFER, own_aet="NODE", limit_s=20.0, switch=StopSwitch()) as talk,
    ):
        end(talk)
        talk.association.send_c_find(Dataset(), FIND_MODEL)
