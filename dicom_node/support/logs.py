"""The log of a node, from the journal and from files, as far as it may leave the house."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dicom_node.support.scrubbing import is_json_line

UNITS = ("dicom-node-listen.service", "dicom-node-work.service", "dicom-node-web.service", "dicom-node.service")
_LINES = 20_000
"""Of each unit and file the newest."""
_READ_WITHIN_S = 60
_TO_STDERR = re.compile(r"(?:config|dicom_node|pipeline|storage)[\w.]*: ")
"""How a line begins whose level went to the journal as a prefix (sd-daemon(3))."""
_LEVELS = {"0": "CRITICAL", "1": "CRITICAL", "2": "CRITICAL", "3": "ERROR", "4": "WARNING", "6": "INFO", "7": "DEBUG"}


def journal_lines() -> list[str]:
    """What the units of the node told the journal in a week, as lines of the log.

    Raises:
        OSError: There is no journal here, or it cannot be read.
    """
    program = shutil.which("journalctl")
    if program is None:
        problem = "journalctl is not installed"
        raise FileNotFoundError(problem)
    units = [f"--unit={unit}" for unit in UNITS]
    command = [program, "--output=json", "--no-pager", "--quiet", "--since=-7days", f"--lines={_LINES}", *units]
    done = subprocess.run(command, capture_output=True, timeout=_READ_WITHIN_S, check=False)
    if done.returncode:
        problem = f"journalctl ended with {done.returncode}"
        raise OSError(problem)
    return list(lines_from_journal(done.stdout.decode(errors="replace").splitlines()))


def lines_from_journal(entries: Sequence[str]) -> Iterator[str]:
    """Entries of `journalctl --output=json` as lines of the log; those that the node did not write are left out.

    What it said with fields has a LOGGER. What it said to stderr, with `[log].format = "json"` or where the journal took no
    fields, has its line as MESSAGE.
    """
    for entry in entries:
        try:
            fields = json.loads(entry)
            at = datetime.fromtimestamp(int(fields["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
            level = _LEVELS.get(fields["PRIORITY"], "INFO")
            said = _said(fields)
        except (ValueError, KeyError, TypeError):
            continue
        if said.startswith("{"):
            yield said
        elif said:
            yield f"{at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')} {level} {said}"


def _said(fields: dict[str, object]) -> str:
    """Logger and message, or the JSON of a line for collectors; empty where neither is said."""
    message = fields["MESSAGE"]
    if "LOGGER" in fields:
        return f"{fields['LOGGER']}: {message}"
    is_ours = isinstance(message, str) and (is_json_line(message) or _TO_STDERR.match(message))
    return str(message) if is_ours else ""


def file_lines(path: Path) -> list[str]:
    """The newest lines of a file; OSError where it cannot be read."""
    return path.read_text(errors="replace").splitlines()[-_LINES:]
