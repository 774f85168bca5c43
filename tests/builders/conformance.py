"""The tables of the conformance statement, printed from what the listener is built of.

python tests/builders/conformance.py    # writes them into docs/conformance.md, between their marks
"""

import re
from pathlib import Path

from pydicom.uid import UID

from config.settings import Settings
from dicom_node.listen.contexts import STORAGE_CLASSES, accepted_transfer_syntaxes, contexts_of

STATEMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"


def everything() -> Settings:
    """Settings with which the listener takes all that it can take."""
    return Settings.model_validate({"listen": {"accept_notifications": True}})


def storage_table() -> str:
    """Storage SOP classes, by name."""
    return _table(sorted(STORAGE_CLASSES, key=lambda uid: UID(uid).name))


def service_table() -> str:
    """SOP classes of the other services."""
    contexts = contexts_of(everything())
    return _table([str(one.abstract_syntax) for one in contexts if str(one.abstract_syntax) not in STORAGE_CLASSES])


def syntax_table() -> str:
    """Transfer syntaxes of storage, the preferred first."""
    return _table(accepted_transfer_syntaxes())


TABLES = {"storage": storage_table, "services": service_table, "syntaxes": syntax_table}


def table_in(text: str, name: str) -> str:
    """A table of the statement, as it stands there."""
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert match, name
    return match[1]


def uids_in(table: str) -> list[str]:
    """The UIDs of a table."""
    return re.findall(r"^\| .+ \| `([0-9.]+)` \|$", table, re.MULTILINE)


def _table(uids: list[str]) -> str:
    rows = [f"| {UID(uid).name} | `{uid}` |" for uid in uids]
    return "\n".join(["| name | UID |", "|---|---|", *rows, ""])


def main() -> None:
    """Write the tables."""
    text = STATEMENT.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        head, mark, rest = text.partition(f"<!-- {name} -->\n")
        text = head + mark + table() + rest[rest.index("<!-- end -->") :]
    STATEMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
