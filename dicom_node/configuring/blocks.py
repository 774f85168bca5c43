"""Blocks of an array of tables, as `[[peers]]`, in the text of a TOML file, with the comments that belong to them.

The text between blocks is never touched. What a scan by lines may mistake, for instance a header inside a string, the
caller finds by comparing what the new text says with what it should say.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.items import Item

_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_][A-Za-z0-9_. -]*?)\s*\]\]?\s*(?:#.*)?$")
_LONG_STRING = re.compile(r'"""|\'\'\'')


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines of one block."""

    start: int
    """First line, its own comment included."""
    end: int
    """First line behind it."""


def blocks_in(text: str, array: str) -> list[Block]:
    """The blocks of an array, in their order."""
    lines = text.splitlines(keepends=True)
    headers = list(_headers(lines))
    leads = [_lead(lines, number) for number, _ in headers]
    found = []
    for position, (number, name) in enumerate(headers):
        if name != array or "[[" not in lines[number]:
            continue
        after = next(
            (later for later in range(position + 1, len(headers)) if not headers[later][1].startswith(f"{array}.")),
            None,
        )
        found.append(Block(start=leads[position], end=len(lines) if after is None else leads[after]))
    return found


def text_without(text: str, block: Block) -> str:
    """The text without a block."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[: block.start] + lines[block.end :])


def text_with(text: str, array: str, block: str) -> str:
    """The text with a block behind the last one of its array, at the end where there is none."""
    lines = text.splitlines(keepends=True)
    known = blocks_in(text, array)
    at = known[-1].end if known else len(lines)
    before, after = "".join(lines[:at]).rstrip("\r\n"), "".join(lines[at:])
    newline = "\r\n" if "\r\n" in text else "\n"
    new = block.strip("\n").replace("\n", newline)
    parts = [*([before + newline] if before else []), new + newline]
    return newline.join(parts) + (newline + after if after else "")


def text_of_blocks(text: str, array: str) -> str:
    """The blocks of an array alone, with their comments; lines end in a line feed."""
    lines = text.splitlines(keepends=True)
    found = ["".join(lines[block.start : block.end]).strip("\r\n") for block in blocks_in(text, array)]
    return "\n\n".join(part.replace("\r\n", "\n") for part in found) + ("\n" if found else "")


def text_with_blocks(text: str, array: str, blocks: str) -> str:
    """The text with other blocks in the place of those of an array, at the end where there are none."""
    known = blocks_in(text, array)
    before = "".join(text.splitlines(keepends=True)[: known[0].start]) if known else text
    rest = text
    for block in reversed(known):
        rest = text_without(rest, block)
    after = rest[len(before) :] if known else ""
    newline = "\r\n" if "\r\n" in text else "\n"
    new = blocks.replace("\r\n", "\n").strip("\n").replace("\n", newline)
    parts = [part for part in (before.strip("\r\n"), new, after.strip("\r\n")) if part]
    return (newline * 2).join(parts) + newline


def block_from(array: str, values: Mapping[str, Any], *, comment: str = "") -> str:
    """A block with these values, in their order."""
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, item_from(value))
    blocks = tomlkit.aot()
    blocks.append(table)
    document = tomlkit.document()
    document.add(array, blocks)
    return (f"# {comment}\n" if comment else "") + tomlkit.dumps(document).strip("\n") + "\n"


def text_with_values(text: str, array: str, number: int, changes: Mapping[str, Any]) -> str:
    """The text with other values in one block; comments beside them stay.

    Args:
        text: Of the file.
        array: Name of the array.
        number: Of the block, from 0.
        changes: None takes a key out: its default holds then.
    """
    document = tomlkit.parse(text)
    table: Any = document[array]
    table = table[number]
    for key, value in changes.items():
        if value is None:
            table.pop(key, None)
        elif key in table:
            table[key] = item_from(value)
        else:
            _insert(table.value, key, item_from(value))
    return tomlkit.dumps(document)


def item_from(value: object) -> Item:
    """A value as TOML writes it: tables inline, lists of tables as blocks."""
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        for key, part in value.items():
            inline.append(key, item_from(part))
        return inline
    if isinstance(value, Sequence) and not isinstance(value, str):
        items: Item = tomlkit.item([_plain(part) for part in value])
        return items
    item: Item = tomlkit.item(_plain(value))
    return item


def _plain(value: object) -> Any:
    return value if isinstance(value, str | int | float | bool | dict) else str(value)


def _insert(container: Any, key: str, item: Item) -> None:
    """Behind the last plain value: what stands below it may be the comment of the next block."""
    last = None
    for known, value in container.body:
        if known is not None and not isinstance(value, tomlkit.items.Table | tomlkit.items.AoT):
            last = known
    if last is None:
        container.append(key, item)
    else:
        container._insert_after(last.key, key, item)


def _headers(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Line number and name of each table header."""
    is_inside = False
    for number, line in enumerate(lines):
        match = None if is_inside else _HEADER.match(line.rstrip("\r\n"))
        if match:
            yield number, match[1].replace(" ", "")
        if len(_LONG_STRING.findall(line)) % 2:
            is_inside = not is_inside


def _lead(lines: Sequence[str], header: int) -> int:
    """Where the comment of a block begins: directly above it, apart from what is before, and not about blocks at large."""
    first = header
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    is_apart = not first or not lines[first - 1].strip()
    is_general = any("[[" in line for line in lines[first:header])
    return first if is_apart and not is_general else header
