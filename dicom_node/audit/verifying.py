"""Finds what was changed, taken away or moved in an audit trail, and says where."""

from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.audit.chain import (
    NO_LINE_BEFORE,
    Head,
    Line,
    hash_of,
    open_files,
    parse_line,
    read_head,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """One thing that is not as it was written."""

    file: str
    row: int
    """Line of the file, from 1 on; 0 for the trail as a whole."""
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What `audit verify --json` prints."""

    passed: bool
    lines: int
    files: int
    first_number: int
    """Of the first line that is here; 0 where there is none."""
    last_number: int
    findings: tuple[AuditFinding, ...]
    cut_lines: int
    """Lines that a crash cut while they were written; the chain holds over them."""


@dataclass(slots=True, kw_only=True)
class _Walk:
    """Goes through the lines in order."""

    expected_number: int
    """Of the next line."""
    previous: str | None
    """Hash of the line before; None where it is not here."""
    findings: list[AuditFinding] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    place: tuple[str, int] = ("", 0)
    last_hash: str = ""
    lines: int = 0
    cut_lines: int = 0
    damaged: tuple[str, int] | None = None
    """Place of the line before, where it is none."""

    def look_at(self, file: str, row: int, raw: bytes) -> None:
        """Compare one line with what must stand there."""
        place, self.lines = (file, row), self.lines + 1
        line = parse_line(raw)
        if line is None:
            self._forgive_or_blame(None)
            self.damaged = place
        else:
            self._compare(line, place)
            self.expected_number = line.number + 1
            self.numbers.append(line.number)
            self.last_hash = hash_of(raw)
        self.previous = hash_of(raw)
        self.place = place

    def end(self, head: Head | None) -> None:
        """Compare the end with what was noted there; a last line that is none was cut, or the note knows more."""
        self.cut_lines += self.damaged is not None
        last = self.numbers[-1] if self.numbers else 0
        if head is None:
            if self.lines:
                self._find(("audit.head", 0), "is missing or damaged: lines may be missing at the end")
        elif head.number > last:
            self._find(self.place, f"lines {last + 1} to {head.number} are missing at the end")
        elif head.number == last and head.hash != self.last_hash:
            self._find(self.place, f"line {last} was changed")

    def _compare(self, line: Line, place: tuple[str, int]) -> None:
        is_chained = self.previous is None or line.previous == self.previous
        if line.number < self.expected_number:
            self._find(place, f"line {line.number} stands in the wrong place: {self.expected_number} was to follow")
        elif line.number > self.expected_number and self.damaged is None:
            missing = f"{self.expected_number} to {line.number - 1}"
            self._find(place, f"lines {missing} are missing before line {line.number}")
        elif not is_chained and self.damaged is None:
            self._find(self.place, f"line {line.number - 1} was changed")
        self._forgive_or_blame(line)

    def _forgive_or_blame(self, following: Line | None) -> None:
        """A line that is none was cut by a crash where the next one holds its hash and goes on counting."""
        if self.damaged is None:
            return
        goes_on = following and following.previous == self.previous and following.number == self.expected_number
        if goes_on:
            self.cut_lines += 1
        else:
            self._find(self.damaged, "is no line of a trail: it was changed")
        self.damaged = None

    def _find(self, place: tuple[str, int], words: str) -> None:
        self.findings.append(AuditFinding(file=place[0], row=place[1], words=words))


def verify(folder: Path, *, begins_at: int = 1) -> AuditReport:
    """Go through a trail; nothing is changed.

    The note of the last line is read first, so that what is appended meanwhile is no finding.

    Args:
        folder: Of the trail.
        begins_at: Number of its first line, where older files were put into an archive.

    Raises:
        OSError: It cannot be read.
    """
    head = read_head(folder)
    files = 0
    walk = _Walk(expected_number=begins_at, previous=NO_LINE_BEFORE if begins_at == 1 else None)
    for files, (name, file) in enumerate(open_files(folder), start=1):  # noqa: B007  # counted
        for row, raw in enumerate(file, start=1):
            walk.look_at(name, row, raw.removesuffix(b"\n"))
    walk.end(head)
    return AuditReport(
        passed=not walk.findings,
        lines=walk.lines,
        files=files,
        first_number=walk.numbers[0] if walk.numbers else 0,
        last_number=walk.numbers[-1] if walk.numbers else 0,
        findings=tuple(walk.findings),
        cut_lines=walk.cut_lines,
    )
