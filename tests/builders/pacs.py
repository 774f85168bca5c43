"""A PACS that remembers what it answered."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders.node import Destination
from dicom_node.demo.pacs import SmallPacs

AE_TITLE = "LEDGERPACS"


@contextmanager
def ledger_pacs(folder: Path) -> Iterator[SmallPacs]:
    """A PACS on a free port that enters every object it acknowledged into its ledger, each time it comes."""
    with SmallPacs(folder, ae_title=AE_TITLE) as pacs:
        yield pacs


def destination(pacs: SmallPacs) -> Destination:
    """The PACS as a node's configuration names it."""
    return Destination(name="pacs", ae_title=pacs.ae_title, port=pacs.port)


def times_received(pacs: SmallPacs) -> Counter[str]:
    """How often each SOP Instance UID came."""
    return Counter(kept.sop_instance_uid for kept in pacs.ledger)
