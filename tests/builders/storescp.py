"""DCMTK's storescp, restricted to what a test allows, as a site's PACS."""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from builders.deadline import until
from builders.ports import free_port
from config.settings import Peer

AE_TITLE = "STORESCP"
EXPLICIT, IMPLICIT, DEFLATED = "LittleEndianExplicit", "LittleEndianImplicit", "DeflatedLittleEndianExplicit"
"""Names of transfer syntaxes in its configuration (dcmtk, docs/asconfig.txt)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreScp:
    """A running storescp."""

    peer: Peer
    folder: Path

    def objects(self) -> dict[str, Dataset]:
        """What it wrote, by SOP Instance UID, as pydicom reads it."""
        datasets = [dcmread(path) for path in self.folder.iterdir()]
        return {str(dataset.SOPInstanceUID): dataset for dataset in datasets}


@contextmanager
def running_storescp(
    folder: Path, *, accepts: Mapping[str, Sequence[str]], name: str = "pacs", aet: str = AE_TITLE
) -> Iterator[StoreScp]:
    """A storescp on a free port that writes what it gets bit by bit.

    Args:
        folder: Gets configuration, log and objects.
        accepts: Transfer syntaxes by SOP Class UID, the preferred first.
        name: Of the peer.
        aet: Of the peer.
    """
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("storescp not installed: apt install dcmtk")
    objects = folder / "objects"
    objects.mkdir()
    (folder / "storescp.cfg").write_text(_configuration(accepts))
    peer = Peer(name=name, ae_title=aet, host="127.0.0.1", port=free_port(), receives_results=True)
    command = [program, "-xf", str(folder / "storescp.cfg"), "Restricted", "+B", "-od", str(objects), "-aet", aet]
    with (folder / "storescp.log").open("wb") as log:
        process = subprocess.Popen([*command, str(peer.port)], stdout=log, stderr=log)
        try:
            until(lambda: _listens(peer), within_s=30, what=f"storescp listens; see {folder / 'storescp.log'}")
            yield StoreScp(peer=peer, folder=objects)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _listens(peer: Peer) -> bool:
    try:
        socket.create_connection((peer.host, peer.port), timeout=5).close()
    except OSError:
        return False
    return True


def _configuration(accepts: Mapping[str, Sequence[str]]) -> str:
    """An association negotiation profile (dcmtk, docs/asconfig.txt)."""
    classes = {"1.2.840.10008.1.1": (EXPLICIT, IMPLICIT), **accepts}
    lists = list(dict.fromkeys(tuple(syntaxes) for syntaxes in classes.values()))
    lines = ["[[TransferSyntaxes]]"]
    for number, syntaxes in enumerate(lists):
        lines.append(f"[List{number}]")
        lines += [f"TransferSyntax{place} = {syntax}" for place, syntax in enumerate(syntaxes, start=1)]
    lines += ["[[PresentationContexts]]", "[Allowed]"]
    for place, (uid, syntaxes) in enumerate(classes.items(), start=1):
        lines.append(f"PresentationContext{place} = {uid}\\List{lists.index(tuple(syntaxes))}")
    lines += ["[[Profiles]]", "[Restricted]", "PresentationContexts = Allowed"]
    return "\n".join(lines) + "\n"
