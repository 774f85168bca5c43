"""Association requests that fuzzing found pynetdicom to fail over, at a listener that runs."""

from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from builders.instances import ct_instance
from builders.listener import listener_settings, running_listener, send
from builders.raw_peer import A_ABORT, RawPeer, associate_request, pdu


def test_a_context_without_abstract_syntax_is_aborted_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """PS3.8 9.3.2.2: a presentation context has one; a single place is free again at once."""
    syntax = ExplicitVRLittleEndian.encode()
    empty = b"\x20\0" + (8 + len(syntax)).to_bytes(2) + b"\3\0\0\0" + b"\x40\0" + len(syntax).to_bytes(2) + syntax
    with running_listener(listener_settings(tmp_path, maximum_associations=1)) as running:
        with RawPeer(running.port) as peer:
            peer.send(pdu(1, associate_request()[6:] + empty))
            assert peer.receive_pdu()[0] == A_ABORT
        assert send(running.port, ct_instance()) == [0x0000]
    assert "association aborted: TypeError" in caplog.text
