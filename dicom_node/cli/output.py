"""How commands speak: text for people, one JSON object for scripts."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic_core import to_json
from rich.console import Console

_LESION_PREVIEW = "preview-lesion-"


def console() -> Console:
    """Stdout, for what people read."""
    return Console(highlight=False)


def error_console() -> Console:
    """Stderr, for errors and for progress beside `--json`."""
    return Console(stderr=True, highlight=False)


def silence_logs() -> None:
    """Keep log lines off the terminal of a command that tells people itself what happens.

    Libraries log what their callers handle, for instance each try to reach a peer.
    """
    from dicom_node.log import quieten_libraries

    logging.basicConfig(handlers=[logging.NullHandler()])
    quieten_libraries()


def print_json(record: object) -> None:
    """Write one record to stdout as one JSON object; instants as ISO 8601 UTC, paths and enums as text."""
    sys.stdout.write(to_json(record, indent=2).decode() + "\n")


def paths_in_short(paths: Sequence[Path]) -> list[str]:
    """A line for each file, one for all previews of lesions together."""
    pictures = [path for path in paths if path.name.startswith(_LESION_PREVIEW)]
    lines = [str(path) for path in paths if path not in pictures]
    if pictures:
        lines.append(f"{pictures[0].parent / _LESION_PREVIEW}*.png ({len(pictures)})")
    return lines
