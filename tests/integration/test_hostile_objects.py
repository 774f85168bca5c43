"""Objects made to harm whoever receives them: UIDs that are paths, nesting without end, lengths that lie."""

import re
import resource
from collections.abc import Iterator
from typing import Self

import pytest

from builders.deadline import until
from builders.hostile import (
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    data_with,
    hostile_uids,
    is_uid,
    lying_data,
    nested_data,
    store_command_with,
)
from builders.instances import ct_instance, encoded
from builders.listener import RunningListener, listener_settings, running_listener, send
from builders.raw_peer import P_DATA, RawPeer, p_data, status_of

UIDS = 1000
SUCCESS, MISMATCH, NOT_UNDERSTOOD = 0x0000, 0xA900, 0xC000
ABORTED = -1
PDU_BYTES = 16_000
OUR_FILES = re.compile(
    r"index\.sqlite[-.a-z]*|[a-z]+\.lock|incoming|objects|objects/[0-9a-f]{2}|objects/[0-9a-f]{2}/[0-9a-f]{64}\.dcm"
    r"|audit(/audit\.(jsonl|head|head\.new|lock))?|listen\.run(/self\.pem|/settings\.json)?"
)
UID = str(ct_instance().SOPInstanceUID)
MOST_MEMORY_KIB = 32 * 1024


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningListener]:
    """One listener for all of it."""
    with running_listener(listener_settings(tmp_path_factory.mktemp("above") / "data")) as running:
        yield running


def fragments(data: bytes) -> bytes:
    """The PDUs of a data set, none larger than a listener takes."""
    pieces = [data[at : at + PDU_BYTES] for at in range(0, len(data), PDU_BYTES)] or [b""]
    last = len(pieces) - 1
    return b"".join(p_data(piece, is_command=False, is_last=number == last) for number, piece in enumerate(pieces))


class RawSender:
    """Sends one object after the other, over a new association where the listener ended the last one."""

    def __init__(self, port: int) -> None:
        """Connect to a listener at its port."""
        self._port = port
        self._peer: RawPeer | None = None

    def __enter__(self) -> Self:
        """Be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def status(self, sop_instance_uid: bytes, data: bytes) -> int:
        """The answer to an object."""
        if self._peer is None:
            self._peer = RawPeer(self._port)
            self._peer.associate()
        command = p_data(store_command_with(sop_instance_uid), is_command=True, is_last=True)
        try:
            self._peer.send(command + fragments(data))
            kind, content = self._peer.receive_pdu()
        except OSError:
            kind = 0
        if kind == P_DATA:
            return status_of(content)
        self.close()
        return ABORTED

    def close(self) -> None:
        """End the connection."""
        if self._peer is not None:
            self._peer.__exit__(None, None, None)
            self._peer = None


def files_above(listener: RunningListener) -> set[str]:
    """Every file at and above the data folder that is none of ours."""
    above, data = listener.settings.data_dir.parent, listener.settings.data_dir
    found = {str(path.relative_to(data)) if path.is_relative_to(data) else str(path) for path in above.rglob("*")}
    return {name for name in found - {".", str(data)} if not OUR_FILES.fullmatch(name)}


@pytest.mark.filterwarnings("ignore")
def test_no_uid_becomes_a_path_or_gets_past_its_grammar(listener: RunningListener) -> None:
    """A thousand of them, in command and data set: what is no UID is refused, and no file is made anywhere else."""
    with RawSender(listener.port) as sender:
        for number, uid in enumerate(hostile_uids(UIDS)):
            element = (SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)[number % 3]
            named = uid if element == SOP_INSTANCE_UID else UID.encode()
            status = sender.status(named, data_with(element, uid))
            assert status in ({SUCCESS} if is_uid(uid) else {NOT_UNDERSTOOD, MISMATCH, ABORTED}), uid
    until(lambda: not listener.partial_files(), within_s=10, what="nothing partial is left")
    assert files_above(listener) == set()
    assert send(listener.port, ct_instance(2)) == [SUCCESS]


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "endless"])
@pytest.mark.parametrize("depth", [65, 300, 100_000])
def test_sequences_nested_beyond_reason_are_refused_without_a_crash(
    listener: RunningListener, depth: int, *, is_closed: bool
) -> None:
    """0xC000; the association and its memory stay."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with RawSender(listener.port) as sender:
        assert sender.status(UID.encode(), nested_data(depth, is_closed=is_closed)) == NOT_UNDERSTOOD
        assert sender.status(ct_instance(3).SOPInstanceUID.encode(), encoded(ct_instance(3))) == SUCCESS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_MEMORY_KIB


@pytest.mark.parametrize("length", [2**20, 2**31, 2**32 - 2, 2**32 - 1], ids=["1 MiB", "2 GiB", "4 GiB", "undefined"])
@pytest.mark.parametrize("vr", [b"OB", b"SQ", b"UN", b"ZZ"])
def test_an_element_longer_than_its_object_is_refused_without_its_memory(
    listener: RunningListener, vr: bytes, length: int
) -> None:
    """0xC000, nothing of that length is allocated."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with RawSender(listener.port) as sender:
        assert sender.status(UID.encode(), lying_data(length, vr=vr)) == NOT_UNDERSTOOD
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_MEMORY_KIB
