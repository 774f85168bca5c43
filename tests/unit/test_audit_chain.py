"""The hash-chained file of the audit trail."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.audit import EVENTS, build_trail, messages_in
from builders.audit_schema import schema_problems
from dicom_node.audit import chain as chain_module
from dicom_node.audit.chain import Chain, parse_line, raw_lines, trail_files
from dicom_node.audit.verifying import AuditReport, verify


def written(folder: Path, count: int = 6) -> Path:
    """A trail of so many lines; its file."""
    chain = Chain(folder, maximum_file_bytes=1_000_000)
    for number in range(1, count + 1):
        chain.append(f"<m n='{number}'/>")
    return folder / "audit.jsonl"


def edit(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> AuditReport:
    """What is found after the lines of a file were changed."""
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    return verify(path.parent)


def words(report: AuditReport) -> list[str]:
    """What was found, with the row."""
    assert not report.passed
    return [f"{one.row}: {one.words}" for one in report.findings]


def test_untouched_trail_passes(tmp_path: Path) -> None:
    """With its lines counted."""
    report = verify(written(tmp_path).parent)
    assert (report.passed, report.lines, report.first_number, report.last_number) == (True, 6, 1, 6)


def test_changed_line_is_found(tmp_path: Path) -> None:
    """With its row, also where its form was kept."""
    report = edit(written(tmp_path), lambda lines: [line.replace(b"n='3'", b"n='9'") for line in lines])
    assert words(report) == ["3: line 3 was changed"]


def test_line_that_is_none_any_more_is_found(tmp_path: Path) -> None:
    """Nothing after it is blamed."""
    report = edit(written(tmp_path), lambda lines: [*lines[:2], b"garbage\n", *lines[3:]])
    assert words(report) == ["3: is no line of a trail: it was changed"]


def test_missing_lines_are_found(tmp_path: Path) -> None:
    """Which ones, and before which."""
    report = edit(written(tmp_path), lambda lines: [*lines[:2], *lines[4:]])
    assert words(report) == ["3: lines 3 to 4 are missing before line 5"]


def test_first_line_is_missed(tmp_path: Path) -> None:
    """Unless it is said where the trail begins."""
    path = written(tmp_path)
    assert words(edit(path, lambda lines: lines[1:])) == ["1: lines 1 to 1 are missing before line 2"]
    assert verify(path.parent, begins_at=2).passed


def test_last_lines_are_missed(tmp_path: Path) -> None:
    """The chain alone would not show it."""
    assert words(edit(written(tmp_path), lambda lines: lines[:-2])) == ["4: lines 5 to 6 are missing at the end"]


def test_last_line_that_was_changed_is_found(tmp_path: Path) -> None:
    """No later line holds its hash."""
    report = edit(written(tmp_path), lambda lines: [line.replace(b"n='6'", b"n='7'") for line in lines])
    assert words(report) == ["6: line 6 was changed"]


def test_lines_that_changed_places_are_found(tmp_path: Path) -> None:
    """With both places."""
    found = words(edit(written(tmp_path), lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]))
    assert "2: lines 2 to 2 are missing before line 3" in found
    assert "3: line 2 stands in the wrong place: 4 was to follow" in found


def test_line_that_was_put_in_is_found(tmp_path: Path) -> None:
    """A copy of another one."""
    assert any(
        "wrong place" in one for one in words(edit(written(tmp_path), lambda lines: [*lines[:4], lines[1], *lines[4:]]))
    )


def test_chain_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """What was put aside is looked at too."""
    trail = build_trail(tmp_path, maximum_file_bytes=4096)
    for event in EVENTS * 3:
        trail.record(event)
    files = trail_files(tmp_path)
    assert len(files) > 3
    assert verify(tmp_path).passed
    assert len(messages_in(tmp_path)) == 3 * len(EVENTS)
    files[1].unlink()
    assert not verify(tmp_path).passed


def test_line_that_a_crash_cut_breaks_no_chain(tmp_path: Path) -> None:
    """Half a line at the end; the next goes on behind it."""
    path = written(tmp_path, 3)
    with path.open("ab") as file:
        file.write(b'{"number": 4, "prev')
    assert verify(tmp_path).passed
    Chain(tmp_path, maximum_file_bytes=1_000_000).append("<m/>")
    report = verify(tmp_path)
    assert (report.passed, report.cut_lines, report.last_number) == (True, 1, 4)


def test_crash_between_line_and_note_is_no_finding(tmp_path: Path) -> None:
    """The note of the last line is then one behind."""
    path = written(tmp_path, 3)
    note = (tmp_path / "audit.head").read_bytes()
    Chain(tmp_path, maximum_file_bytes=1_000_000).append("<m/>")
    (tmp_path / "audit.head").write_bytes(note)
    assert verify(path.parent).passed


def test_only_the_owner_reads_the_trail(tmp_path: Path) -> None:
    """Whatever the umask."""
    previous = os.umask(0)
    try:
        written(tmp_path / "audit")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "audit").iterdir()}
    assert modes == {0o600}


def test_processes_that_write_at_once_make_one_chain(tmp_path: Path) -> None:
    """Listener, worker and command line do."""
    code = (
        "import sys; from pathlib import Path; from dicom_node.audit.chain import Chain\n"
        "chain = Chain(Path(sys.argv[1]), maximum_file_bytes=5000)\n"
        "for _ in range(40): chain.append('<m/>')"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    report = verify(tmp_path)
    assert (report.passed, report.lines) == (True, 120)


def test_disk_that_takes_nothing_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The event waits, the log says so without naming it, the next one takes it along."""
    trail = build_trail(tmp_path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(chain_module.os, "write", full)
        trail.record(EVENTS[5])
    assert "No space left" in caplog.text
    assert "4711" not in caplog.text
    trail.record(EVENTS[0])
    assert len(messages_in(tmp_path)) == 2
    assert verify(tmp_path).passed


def test_every_line_holds_a_message_by_the_schema(tmp_path: Path) -> None:
    """What is written is what was built."""
    trail = build_trail(tmp_path)
    for event in EVENTS:
        trail.record(event)
    assert [schema_problems(message) for message in messages_in(tmp_path)] == [[]] * len(EVENTS)
    assert all(parse_line(raw) for raw in raw_lines(tmp_path / "audit.jsonl"))
