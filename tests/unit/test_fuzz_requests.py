"""That the fuzz target over association requests gets as far as it says."""

from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_RQ

from builders.fuzz_requests import association_requests


def test_every_request_of_the_corpus_is_read_with_its_items() -> None:
    """One that pynetdicom cannot read would only try its own decoder."""
    kinds: set[str] = set()
    for data in association_requests():
        request: Any = A_ASSOCIATE_RQ()
        request.decode(data)
        kinds |= {type(item).__name__ for item in request.to_primitive().user_information}
    assert {
        "AsynchronousOperationsWindowNegotiation",
        "SCP_SCU_RoleSelectionNegotiation",
        "ImplementationVersionNameNotification",
        "SOPClassExtendedNegotiation",
        "SOPClassCommonExtendedNegotiation",
        "UserIdentityNegotiation",
    } <= kinds
