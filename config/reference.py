"""The reference of the configuration as a page, from the commented `node.toml` that comes with the package."""

import re
from collections.abc import Iterator
from importlib import resources

_TABLE = re.compile(r"(?:# )?(\[\[?[a-z.]+\]\]?)$")
_SETTING = re.compile(r"(?:# )?([a-z_0-9]+) = (.*)$")
_HEAD = """\
# Every key of the configuration

Printed from the commented [node.toml](../config/node.toml); [configuring.md](configuring.md) shows how to change it. What is
not written in a file keeps its default. In `[[peers]]` the values are examples where a key has no default.
"""


def reference_page() -> str:
    """Markdown: a section for each table, a row for each key with its default and what it means."""
    return _HEAD + "\n".join(_lines(resources.files("config").joinpath("node.toml").read_text(encoding="utf-8"))) + "\n"


def _lines(text: str) -> Iterator[str]:
    comment: list[str] = []
    value: list[str] = []
    key = ""
    for line in text.splitlines():
        if value:
            value.append(line.strip())
        elif table := _TABLE.match(line):
            yield from ("", f"## `{table[1]}`", "", "| key | default | |", "|---|---|---|")
            comment = []
        elif setting := _SETTING.match(line):
            key, value = setting[1], [setting[2]]
        elif line.startswith("#"):
            comment.append(line.removeprefix("# ").removeprefix("# ").removeprefix("#").strip())
        else:
            comment = []
        if value and "".join(value).count("[") == "".join(value).count("]"):
            yield f"| `{key}` | `{_cell(' '.join(value))}` | {_cell(' '.join(comment))} |"
            comment, value = [], []


def _cell(text: str) -> str:
    """A vertical bar would end the cell."""
    return text.replace("|", "\\|")
