"""Blocks of a document that show commands with their output: fenced as `console`, a command after `$ `."""

import re
from dataclasses import dataclass
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One command and what it prints."""

    command: str
    output: str
    """`...` stands for anything."""

    def is_met_by(self, output: str) -> bool:
        """Whether a command printed what is shown; what is wrapped elsewhere is the same."""
        return OutputChecker().check_output(self.output, output, ELLIPSIS | NORMALIZE_WHITESPACE)


def shown_commands(document: Path) -> tuple[Shown, ...]:
    """Every command of every block, in order."""
    blocks = _BLOCK.findall(document.read_text(encoding="utf-8"))
    entries = [entry for block in blocks for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return tuple(Shown(command=entry.partition("\n")[0], output=entry.partition("\n")[2]) for entry in entries)


def script_of(shown: tuple[Shown, ...], *, folder: Path) -> str:
    """A shell script that runs them one after the other, up to the first that fails.

    Output and exit code of each are kept in files of the folder.
    """
    lines = ["trap 'kill $(jobs -p) 2>/dev/null' EXIT"]
    for number, one in enumerate(shown):
        lines += [
            f"{{ {one.command}\n}} > {folder}/{number}.out 2>&1",
            f"echo $? | tee {folder}/{number}.code | grep -qx 0 || exit 1",
        ]
    return "\n".join(lines) + "\nwait\n"
