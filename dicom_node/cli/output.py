"""How commands speak: text for people, one JSON object for scripts."""

import logging
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from dicom_node.controls import ESCAPED_CONTROLS

_LESION_PREVIEW = "preview-lesion-"
_WIDER_THAN_ANY_ROW = 100_000
# Line ends and tabs are ours: no text of a data set has them.
_SHOWN = {code: words for code, words in ESCAPED_CONTROLS.items() if chr(code) not in "\n\t"}
# JSON escapes the others by itself (RFC 8259, section 7).
_IN_JSON = {code: f"\\u{code:04x}" for code in ESCAPED_CONTROLS if code >= 0x7F}


class _HarmlessConsole(Console):
    """A console whose terminal no text of a data set drives: names, IDs and descriptions are kept as they came."""

    def render_str(self, text: str, **options: Any) -> Text:
        """See Console; control characters are shown as `\\x9b`."""
        return super().render_str(text.translate(_SHOWN), **options)


def console() -> Console:
    """Stdout, for what people read."""
    return _HarmlessConsole(highlight=False, emoji=False)


def error_console() -> Console:
    """Stderr, for errors and for progress beside `--json`."""
    return _HarmlessConsole(stderr=True, highlight=False, emoji=False)


def table_of(*headers: str) -> Table:
    """A table none of whose values is cut: one that is wider than its column goes on in the next line."""
    return Table(*(Column(header, overflow="fold") for header in headers))


def print_table(table: Table) -> None:
    """Draw it on stdout, as wide as the terminal; elsewhere, as in a pipe, each row is one line, however long."""
    out = console()
    if not out.is_terminal:
        out.width = _WIDER_THAN_ANY_ROW
    out.print(table)


def silence_logs() -> None:
    """Keep log lines off the terminal of a command that tells people itself what happens.

    Libraries log what their callers handle, for instance each try to reach a peer.
    """
    from dicom_node.log import quieten_libraries

    logging.basicConfig(handlers=[logging.NullHandler()])
    quieten_libraries()


def print_json(record: object) -> None:
    """Write one record to stdout as one JSON object; instants as ISO 8601 UTC, paths and enums as text.

    Control characters are escaped, all of them: they read back as they were, and drive no terminal.
    """
    sys.stdout.write(to_json(record, indent=2).decode().translate(_IN_JSON) + "\n")


def instant(at: datetime) -> str:
    """An instant by the clock of this machine, with the name of its zone."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def paths_in_short(paths: Sequence[Path]) -> list[str]:
    """A line for each file, one for all previews of lesions together."""
    pictures = [path for path in paths if path.name.startswith(_LESION_PREVIEW)]
    lines = [str(path) for path in paths if path not in pictures]
    if pictures:
        lines.append(f"{pictures[0].parent / _LESION_PREVIEW}*.png ({len(pictures)})")
    return lines
