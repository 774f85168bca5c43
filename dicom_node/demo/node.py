"""A node of its own on loopback: the processes of `dicom-node run`, with a folder that is thrown away."""

import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from config import Peer, Settings, load_settings
from dicom_node.calling import PeerUnreachableError
from dicom_node.child import end_child, start_child
from dicom_node.errors import NodeError
from dicom_node.peers import echo

AE_TITLE = "DICOMNODE"
QUIET_PERIOD_S = 3.0
_START_WITHIN_S = 60.0
_GRACE_S = 20.0
_LOOK_INTERVAL_S = 0.1


class DemoNodeError(NodeError):
    """The node of the demo did not start; see node.log in the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoNode:
    """A running node."""

    settings: Settings
    address: Peer
    """As the sender sees it."""


@contextmanager
def running_node(pacs: Peer, *, log_path: Path) -> Iterator[DemoNode]:
    """Start a node that sends its results to the PACS; ends every process and removes the data folder at the end.

    Args:
        pacs: Receives the results, may send.
        log_path: Gets what the processes of the node say.

    Raises:
        DemoNodeError: The node does not listen after a minute.
    """
    with tempfile.TemporaryDirectory(prefix="dicom-node-demo-") as folder, log_path.open("wb") as log:
        config_path = Path(folder) / "node.toml"
        config_path.write_text(_configuration(pacs, data_dir=Path(folder) / "data", port=_free_port()))
        settings = load_settings(config_path)
        settings.data_dir.mkdir()
        child = start_child([sys.executable, "-m", "dicom_node", "--config", str(config_path), "run"], log=log)
        try:
            address = Peer(name="node", ae_title=AE_TITLE, host="127.0.0.1", port=settings.listen.port)
            _wait_until_it_answers(address, own_aet=pacs.ae_title, is_running=lambda: child.poll() is None)
            yield DemoNode(settings=settings, address=address)
        finally:
            end_child(child, grace_s=_GRACE_S)


def _wait_until_it_answers(node: Peer, *, own_aet: str, is_running: Callable[[], bool]) -> None:
    """Return once the node answers C-ECHO."""
    ends_at_s = monotonic() + _START_WITHIN_S
    while not _answers(node, own_aet):
        if monotonic() > ends_at_s or not is_running():
            raise DemoNodeError
        sleep(_LOOK_INTERVAL_S)


def _answers(node: Peer, own_aet: str) -> bool:
    """Whether the node answers C-ECHO now."""
    try:
        echo(node, own_aet=own_aet)
    except PeerUnreachableError:
        return False
    return True


def _free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _configuration(pacs: Peer, *, data_dir: Path, port: int) -> str:
    """The configuration file, closed to all but the PACS as a site's would be."""
    return f"""\
[node]
ae_title = "{AE_TITLE}"
data_dir = "{data_dir}"

[listen]
port = {port}

[storage]
free_floor_bytes = 0

[completeness]
quiet_period_s = {QUIET_PERIOD_S}

[[peers]]
name = "{pacs.name}"
ae_title = "{pacs.ae_title}"
host = "{pacs.host}"
port = {pacs.port}
may_send = true
receives_results = true
"""
