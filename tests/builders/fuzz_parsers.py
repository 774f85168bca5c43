"""Fuzz targets over what reads bytes of others: each takes bytes, and raises nothing but a finding."""

from contextlib import suppress
from io import BytesIO
from pathlib import Path
from struct import pack
from tempfile import NamedTemporaryFile

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.dsutils import decode, encode

import config
from builders.hostile import hostile_uids, nested_data, store_command_with
from builders.instances import ct_instance, dose_report, encoded
from builders.raw_peer import store_command
from config.errors import ConfigError
from config.load import load_settings
from dicom_node.commitment import answers
from dicom_node.commitment.datasets import question, references_asked_for, report, report_from
from dicom_node.listen.errors import NotUnderstoodError
from dicom_node.listen.header import HEAD_BYTES, read_header, read_header_within
from dicom_node.listen.store_command import read_store_command, store_response
from storage.commitment_records import FailedReference, Reference
from storage.errors import IllegalTransitionError
from storage.lifecycle import INITIAL, Event, State, next_state

_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_STATUSES = frozenset(
    {answers.SUCCESS, answers.INVALID_ARGUMENT, answers.RESOURCE_LIMITATION, answers.PROCESSING_FAILURE}
)
_MEMORY = Path("/dev/shm")


def take_store_command(data: bytes) -> None:
    """A command set of C-STORE; what was read can be answered."""
    command = read_store_command(data)
    if command is not None:
        answer = store_response(command, context_id=1, status=0xA700, comment="no room")
        assert answer[2:6] == pack(">L", len(answer) - 6)


def take_header(data: bytes) -> None:
    """The head of a data set; its first byte chooses the transfer syntax."""
    syntax = _SYNTAXES[data[0] % len(_SYNTAXES)] if data else _SYNTAXES[0]
    with suppress(NotUnderstoodError):
        read_header_within(data[1:], syntax)
    with suppress(NotUnderstoodError):
        header = read_header(data[1 : 1 + HEAD_BYTES], syntax)
        assert len(header.sop_instance_uid) <= 64


def take_commitment(data: bytes) -> None:
    """A question or a report of storage commitment as the node answers it; the first byte says which, and how encoded."""
    kind = data[0] if data else 0

    def status() -> int:
        information = decode(BytesIO(data[1:]), bool(kind & 1), True)
        if kind & 2:
            references_asked_for(information)
        else:
            report_from(information)
        return answers.SUCCESS

    given, _ = answers.answered(status, what="case")
    assert given in _STATUSES


def take_configuration(data: bytes) -> None:
    """A file of settings."""
    with NamedTemporaryFile(dir=_MEMORY if _MEMORY.is_dir() else None, suffix=".toml") as file:
        file.write(data)
        file.flush()
        with suppress(ConfigError):
            load_settings(Path(file.name))


def take_events(data: bytes) -> None:
    """Events in the life of a study, a byte each; what the table does not know is refused and changes nothing."""
    state = INITIAL
    events = tuple(Event)
    for byte in data[:200]:
        with suppress(IllegalTransitionError):
            state = next_state(state, events[byte % len(events)])
        assert isinstance(state, State)


def store_commands() -> list[bytes]:
    """Of an honest sender and of hostile ones."""
    return [store_command("1.2.3"), *(store_command_with(uid) for uid in hostile_uids(8))]


def heads() -> list[bytes]:
    """Data sets in each transfer syntax, deep ones too."""
    found = [
        bytes([number]) + encoded(instance, syntax)[:3000]
        for number, syntax in enumerate(_SYNTAXES)
        for instance in (ct_instance(), dose_report())
    ]
    return [*found, b"\1" + nested_data(5), b"\1" + nested_data(60)]


def commitments() -> list[bytes]:
    """Questions and reports in both encodings."""
    asked = [Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"1.2.{n}") for n in range(3)]
    lost = [FailedReference(sop_class_uid="1.2.3", sop_instance_uid="1.2.9", failure_reason=0x0112)]
    return [
        bytes([is_implicit | asks << 1]) + _encoded(dataset, is_implicit=is_implicit)
        for is_implicit in (False, True)
        for asks, dataset in ((1, question("1.2.4", asked)), (0, report("1.2.4", asked, lost)))
    ]


def configurations() -> list[bytes]:
    """The commented default file, in pieces and whole, and a peer."""
    whole = Path(config.__file__).with_name("node.toml").read_bytes()
    tables = [b"[" + piece for piece in whole.split(b"\n[")][1:]
    peer = b'[[peers]]\nname = "ct"\nae_title = "CT"\nhost = "127.0.0.1"\nport = 104\nresults = ["sr"]\n'
    hostile = [
        b"a = " + b"[" * 900 + b"]" * 900,
        b"[listen]\nport = " + b"9" * 4000,
        b"[node]\nae_title = 1979-05-27\n",
    ]
    return [*tables, peer, peer + peer, *hostile]


def lives() -> list[bytes]:
    """Some orders of events."""
    return [bytes(range(len(Event))), bytes(reversed(range(len(Event)))), bytes(40)]


def _encoded(dataset: Dataset, *, is_implicit: bool) -> bytes:
    data = encode(dataset, is_implicit, True)
    assert data is not None
    return data
