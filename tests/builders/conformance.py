"""The tables of the conformance statement, printed from what the listener and the outbox are built of.

python tests/builders/conformance.py    # writes them into docs/conformance.md, between their marks
"""

import re
from pathlib import Path
from typing import get_args

from pydicom.uid import UID

from config.rules import ResultKind
from config.settings import Peer, Settings, SrClassName
from dicom_node.destinations import classes_of
from dicom_node.listen.contexts import STORAGE_CLASSES, accepted_transfer_syntaxes, contexts_of

# PS3.6 table A-1. pynetdicom 3.0 knows these, pydicom 3.0 does not.
NEWER_NAMES = {
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
}
STATEMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"


def everything() -> Settings:
    """Settings with which the listener takes all that it can take."""
    return Settings.model_validate({"listen": {"accept_notifications": True}})


def storage_table() -> str:
    """Storage SOP classes, by name."""
    return _table(sorted(STORAGE_CLASSES, key=_name))


def service_table() -> str:
    """SOP classes of the other services."""
    contexts = contexts_of(everything())
    return _table([str(one.abstract_syntax) for one in contexts if str(one.abstract_syntax) not in STORAGE_CLASSES])


def syntax_table() -> str:
    """Transfer syntaxes of storage, the preferred first."""
    return _table(accepted_transfer_syntaxes())


def destination() -> Peer:
    """A destination as it is where its block says no more than it must."""
    return Peer(name="pacs", ae_title="PACS", host="localhost", port=104, receives_results=True)


def sent_table() -> str:
    """SOP classes that some destination may be sent; those of the report first, as `sr_classes` has them by default."""
    default = destination().sr_classes
    reports = (*default, *(name for name in get_args(SrClassName) if name not in default))
    greedy = destination().model_copy(update={"sr_classes": reports, "results": get_args(ResultKind)})
    return _table(list(classes_of(greedy)))


TABLES = {"storage": storage_table, "services": service_table, "syntaxes": syntax_table, "sent": sent_table}


def table_in(text: str, name: str) -> str:
    """A table of the statement, as it stands there."""
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert match, name
    return match[1]


def uids_in(table: str) -> list[str]:
    """The UIDs of a table."""
    return re.findall(r"^\| .+ \| `([0-9.]+)` \|$", table, re.MULTILINE)


def _table(uids: list[str]) -> str:
    rows = [f"| {_name(uid)} | `{uid}` |" for uid in uids]
    return "\n".join(["| name | UID |", "|---|---|", *rows, ""])


def _name(uid: str) -> str:
    """What PS3.6 calls it."""
    return NEWER_NAMES.get(uid) or UID(uid).name


def main() -> None:
    """Write the tables."""
    text = STATEMENT.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        head, mark, rest = text.partition(f"<!-- {name} -->\n")
        text = head + mark + table() + rest[rest.index("<!-- end -->") :]
    STATEMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
