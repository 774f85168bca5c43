"""Reads an audit trail from a place on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dicom_node.audit.chain import Line, open_files, parse_line, read_head, write_small_file

_POSITION = "syslog.position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a reader has come."""

    number: int
    """Of the last line that it has."""
    first: int
    """Number of the first line of the file that this one is in; the file may be put aside meanwhile."""
    offset: int
    """Byte behind the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLine:
    """A line, and where the reader stands behind it."""

    line: Line
    behind: Position


BEGINNING = Position(number=0, first=0, offset=0)


def lines_behind(folder: Path, position: Position) -> Iterator[ReadLine]:
    """The whole lines behind a place, in order; what a crash cut is left out.

    Raises:
        OSError: The trail cannot be read.
    """
    for _, file in open_files(folder):
        first = next((line.number for line in map(parse_line, file) if line), 0)
        if not first or first < position.first:
            continue
        yield from _lines_of(file, first, offset=position.offset if first == position.first else 0)


def _lines_of(file: BinaryIO, first: int, *, offset: int) -> Iterator[ReadLine]:
    file.seek(offset)
    for raw in file:
        offset += len(raw)
        line = parse_line(raw) if raw.endswith(b"\n") else None
        if line:
            yield ReadLine(line=line, behind=Position(number=line.number, first=first, offset=offset))


def shipped_position(folder: Path) -> Position:
    """How far the server has the trail; its beginning where that is not known."""
    try:
        found = json.loads((folder / _POSITION).read_bytes())
        return Position(number=int(found["number"]), first=int(found["first"]), offset=int(found["offset"]))
    except (OSError, ValueError, TypeError, KeyError):
        return BEGINNING


def note_shipped(folder: Path, position: Position) -> None:
    """The server has the trail up to here; OSError where that cannot be written."""
    content = {"number": position.number, "first": position.first, "offset": position.offset}
    write_small_file(folder / _POSITION, content)


def waiting_count(folder: Path) -> int:
    """How many lines the server does not have yet."""
    head = read_head(folder)
    return max(0, head.number - shipped_position(folder).number) if head else 0
