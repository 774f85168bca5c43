"""How long a real sender waits for its association beside connections that do not speak.

    python tests/benchmarks/accept.py --rounds 20

Against a listener in a process of its own, in one run: 100 silent connections, 100 with half a PDU header, 100 silent on the
TLS port, all three together, each time real associations one after the other; then how long the 65th association waits for
its rejection. The same with DCMTK's storescp and Orthanc where they are installed, with ONE silent connection and few rounds:
they serve nobody until it times out. The last line is one JSON object; times are seconds.
"""

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytest

from builders.deadline import until
from builders.orthanc import running_orthanc
from builders.ports import free_port
from builders.raw_peer import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, RawPeer, associate_request
from builders.tls_listener import Site, make_site

SILENT = 100
PEER_WITHIN_S = 60
MAXIMUM_ASSOCIATIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A listener of ours."""

    port: int
    tls_port: int
    site: Site


@contextmanager
def running_node(folder: Path) -> Iterator[Node]:
    """With both ports, as `dicom-node listen` runs it."""
    node = Node(port=free_port(), tls_port=free_port(), site=make_site(folder / "site"))
    config = folder / "node.toml"
    config.write_text(
        f'[node]\nae_title = "NODE"\ndata_dir = "{folder / "data"}"\n'
        f"[listen]\nport = {node.port}\naccept_unknown_callers = true\n"
        f'[listen.tls]\nenabled = true\nport = {node.tls_port}\ncertificate = "{node.site.node.certificate}"\n'
        f'key = "{node.site.node.key}"\nclient_ca = "{node.site.authority.certificate}"\n'
        "[storage]\nfree_floor_bytes = 0\n"
    )
    (folder / "data").mkdir()
    with (folder / "listen.log").open("wb") as log:
        command = [sys.executable, "-m", "dicom_node", "--config", str(config), "listen"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until(lambda: listens(node.tls_port), within_s=60, what="the node listens")
            yield node
        finally:
            process.terminate()
            process.wait(timeout=60)


def listens(port: int) -> bool:
    """Whether somebody accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def plain_wait_s(port: int, called: bytes = b"NODE") -> float:
    """From the connection to the acceptance."""
    started_at_s = time.monotonic()
    with RawPeer(port, source="127.0.0.7") as peer:
        peer._socket.settimeout(PEER_WITHIN_S)
        kind, _ = peer.associate(called=called)
        assert kind == A_ASSOCIATE_AC, kind
        waited_s = time.monotonic() - started_at_s
        peer.send(bytes.fromhex("05 00 00000004 00000000"))
        peer.receive_pdu()
    return waited_s


def tls_wait_s(node: Node) -> float:
    """From the connection to the acceptance, the handshake included."""
    started_at_s = time.monotonic()
    plain = socket.create_connection(("127.0.0.1", node.tls_port), timeout=30, source_address=("127.0.0.7", 0))
    with node.site.client(node.site.modality).wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(associate_request(called=b"NODE"))
        assert connection.recv(1) == bytes([A_ASSOCIATE_AC])
        return time.monotonic() - started_at_s


def beside(ports: list[tuple[int, bytes]], rounds: int, wait_s: Callable[[], float]) -> dict[str, float]:
    """Waits of real senders while 100 connections to each of the ports have said so much and no more."""
    with ExitStack() as connections:
        for port, said in ports:
            for _ in range(SILENT):
                connections.enter_context(RawPeer(port)).send(said)
        waits = sorted(wait_s() for _ in range(rounds))
    # Of 20 rounds the 99th percentile is the slowest one.
    return {"median_s": round(statistics.median(waits), 4), "p99_s": round(waits[-1 - len(waits) // 100], 4)}


def one_too_many(port: int, rounds: int) -> dict[str, float]:
    """How long an association waits for its rejection while every place is taken."""
    waits = []
    with ExitStack() as peers:
        opened = [
            peers.enter_context(RawPeer(port, source=f"127.0.0.{2 + n % 8}")) for n in range(MAXIMUM_ASSOCIATIONS)
        ]
        assert {peer.associate(called=b"NODE")[0] for peer in opened} == {A_ASSOCIATE_AC}
        for _ in range(rounds):
            started_at_s = time.monotonic()
            with RawPeer(port, source="127.0.0.20") as late:
                assert late.associate(called=b"NODE")[0] == A_ASSOCIATE_RJ
            waits.append(time.monotonic() - started_at_s)
    return {"median_s": round(statistics.median(waits), 4), "slowest_s": round(max(waits), 4)}


def peer_waits(port: int, called: bytes, rounds: int) -> list[float]:
    """Waits of a real sender at another server beside one silent connection."""
    waits = []
    for _ in range(rounds):
        with RawPeer(port):
            waits.append(round(plain_wait_s(port, called), 2))
    return waits


def storescp_waits(folder: Path, rounds: int) -> list[float] | None:
    """Of DCMTK's storescp, as it starts without options."""
    program = shutil.which("storescp")
    if program is None:
        return None
    port = free_port()
    process = subprocess.Popen([program, "-od", str(folder), str(port)])
    try:
        until(lambda: listens(port), within_s=20, what="storescp listens")
        return peer_waits(port, b"STORESCP", rounds)
    finally:
        process.terminate()
        process.wait(timeout=30)


def orthanc_waits(folder: Path, rounds: int) -> list[float] | None:
    """Of Orthanc."""
    try:
        with running_orthanc(folder) as orthanc:
            return peer_waits(orthanc.dicom_port, b"ORTHANC", rounds)
    except pytest.skip.Exception:
        return None


def measure(folder: Path, *, rounds: int, peer_rounds: int) -> dict[str, Any]:
    """Everything, one after the other."""
    for name in ("node", "storescp", "orthanc"):
        (folder / name).mkdir()
    figures: dict[str, Any] = {"rounds": rounds, "silent_connections_of_each_kind": SILENT}
    with running_node(folder / "node") as node:
        port, tls_port, half = node.port, node.tls_port, b"\x01\x00\x00"
        figures["alone"] = beside([], rounds, lambda: plain_wait_s(port))
        figures["alone_tls"] = beside([], rounds, lambda: tls_wait_s(node))
        figures["silent"] = beside([(port, b"")], rounds, lambda: plain_wait_s(port))
        figures["half_header"] = beside([(port, half)], rounds, lambda: plain_wait_s(port))
        figures["silent_tls"] = beside([(tls_port, b"")], rounds, lambda: tls_wait_s(node))
        everything = [(port, b""), (port, half), (tls_port, b"")]
        figures["all_three"] = beside(everything, rounds, lambda: plain_wait_s(port))
        figures["all_three_tls"] = beside(everything, rounds, lambda: tls_wait_s(node))
        figures["association_65_rejected"] = one_too_many(port, rounds)
    figures["storescp_one_silent_s"] = storescp_waits(folder / "storescp", peer_rounds)
    figures["orthanc_one_silent_s"] = orthanc_waits(folder / "orthanc", peer_rounds)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--peer-rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), rounds=arguments.rounds, peer_rounds=arguments.peer_rounds)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
