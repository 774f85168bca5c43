"""0x0000 is said last: the order of system calls of a listener, object by object."""

from itertools import pairwise
from pathlib import Path

import pytest

from builders.instances import ct_instance
from builders.node import NodeProcess
from builders.sender_ledger import SenderLedger
from builders.system_calls import SystemCall, calls_in, traced

OBJECTS = 20
SYSTEM_CALLS = "fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write"
C_STORE_RSP = r"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80"
"""Command Field (0000,0100) with 0x8001 (PS3.7 9.3.1.2), as strace shows it."""


@pytest.mark.sqlite
def test_content_name_folder_and_row_are_on_disk_before_success_is_said(tmp_path: Path) -> None:
    """fsync of the file, rename, fsync of the folder, fsync of the log of the index, then the C-STORE-RSP."""
    log = tmp_path / "calls.log"
    sent = SenderLedger()
    with (
        NodeProcess(folder=tmp_path, parts=("listen",)) as node,
        traced(node.pid("listen"), log, names=SYSTEM_CALLS),
    ):
        sent.send_all(node.port, [ct_instance(number) for number in range(OBJECTS)])
    calls = calls_in(log)
    answers = [call for call in calls if C_STORE_RSP in call.text]
    assert len(answers) == OBJECTS
    for digest_path, (before, answer) in zip(objects_renamed(calls), pairwise([None, *answers]), strict=True):
        check_order([call for call in calls if before is None or call.begun > before.begun], digest_path, answer)


def objects_renamed(calls: list[SystemCall]) -> list[str]:
    """Where objects were put, in order."""
    return [call.text.split('"')[3] for call in calls if call.name.startswith("rename") and "/objects/" in call.text]


def check_order(calls: list[SystemCall], path: str, answer: SystemCall) -> None:
    """Each step of one object ended before the next began, the answer last."""
    rename = next(call for call in calls if call.name.startswith("rename") and path in call.text)
    part, folder = rename.text.split('"')[1], str(Path(path).parent)
    synced = {call.text.split("<")[1].split(">")[0]: call for call in calls if call.name in {"fsync", "fdatasync"}}
    row = [call for call in calls if call.name in {"fsync", "fdatasync"} and "index.sqlite-wal>" in call.text]
    steps = [synced[part], rename, synced[folder]]
    assert all(one.ended < next_one.begun for one, next_one in pairwise(steps))
    assert any(steps[-1].ended < call.begun and call.ended < answer.begun for call in row), "the row came too late"
