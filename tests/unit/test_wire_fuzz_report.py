"""What the wire fuzzer reads in the log of the listener."""

from pathlib import Path

from builders.listener_process import log_of
from builders.wire_fuzz import FuzzReport, Held, read_log

AT = "2026-01-02T12:00:00.000Z"
HARMLESS = (
    f"{AT} INFO dicom_node.listen.server: listening as 'NODE' on 127.0.0.1 port 104",
    f"{AT} WARNING dicom_node.listen.services: connection from 127.0.0.1 cut: no association request in time",
    f"{AT} WARNING dicom_node.listen.guard: association aborted: TypeError < presentation.py:716",
)
HARMFUL = (
    f"{AT} ERROR dicom_node.log: thread Thread-7 ended: KeyError < pdu.py:1",
    f"{AT} ERROR dicom_node.listen.association: connection from 127.0.0.1 ended: KeyError < pdu.py:1",
    f"{AT} ERROR dicom_node.listen.dimse: object refused: a defect of the node [KeyError < pdu.py:1]",
    "Exception ignored in: <function Association.__del__>",
)


def test_an_exception_that_nobody_caught_is_found_in_the_log(tmp_path: Path) -> None:
    """Also what the interpreter says past the log; one that ended in an abort is only counted."""
    held = Held(memory_mib=1.0, threads=1, descriptors=1)
    report = FuzzReport(seed=1, fresh=held, warm=held, after=held)
    log_of(tmp_path).write_text("\n".join((*HARMLESS, *HARMFUL)) + "\n")
    read_log(tmp_path, report)
    assert report.uncaught == list(HARMFUL)
    assert report.kept_inside == 1
