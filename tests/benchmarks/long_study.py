"""A study of 10,000 slices over one association: how fast it is durable, and what the listener holds meanwhile.

    python tests/benchmarks/long_study.py [--small 10000] [--large 1000] [--disk /srv/scratch] [--only node storescp]

Slices of 64 x 64 and, in a study of its own, of 512 x 512, onto a disk, from a C program that replays prepared P-DATA with
TCP_NODELAY and with Nagle's algorithm, and from DCMTK's storescu. DCMTK's storescp, which syncs nothing, beside the node in
the same run; where it waits 40 ms for each answer it gets a share of the slices. Memory is resident memory of the process
before the first slice, in the middle and at the end. The last line is one JSON object.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pysqlite3.dbapi2 as sqlite
from ingest import SENDER_TIMEOUT_S, WARM_UP, _compile
from ingest_objects import write_objects
from ingest_receivers import AE_TITLE, Receiver, Running, receivers, running

STUDY = "1.2.826.0.1.3680043.8.498.78"
SIZES = {"small": 64, "large": 512}
SENDERS = ("nodelay", "nagle", "storescu")
RECEIVERS = ("node", "storescp", "storescp_nodelay")
SLICES_PER_S_BAR = 50
GROWTH_BAR_MIB = 8.0
"""Between the middle and the end of a study: caches have filled by then, and what grows with each slice would show."""
SHARE_BESIDE_A_SLOW_PEER = 0.03
_SAMPLE_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Slices of one size from one sender."""

    size: str
    sender: str
    paths: Sequence[Path]

    def __str__(self) -> str:
        """As a key of the result."""
        return f"{SIZES[self.size]} x {SIZES[self.size]}, {self.sender}"


def main() -> int:
    """Send, watch, report."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.disk) as name:
        folder = Path(name)
        _compile(folder / "programs")
        chosen = [one for one in receivers(folder / "programs") if one.name in arguments.only]
        loads = [
            Load(size=size, sender=sender, paths=paths)
            for size, paths in _written(folder, {"small": arguments.small, "large": arguments.large}).items()
            for sender in arguments.senders
        ]
        figures = {str(load): {one.name: _measure(one, load, folder) for one in chosen} for load in loads}
    result = {"benchmark": "long study", "slices": {"small": arguments.small, "large": arguments.large}}
    result |= {"slices_per_s_bar": SLICES_PER_S_BAR, "growth_bar_mib": GROWTH_BAR_MIB, "figures": figures}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000, help="slices of 64 x 64")
    parser.add_argument("--large", type=int, default=1_000, help="slices of 512 x 512")
    parser.add_argument("--senders", nargs="+", default=list(SENDERS), choices=SENDERS)
    parser.add_argument("--only", nargs="+", default=list(RECEIVERS), help="names of receivers")
    parser.add_argument("--disk", type=Path, help="a folder on a disk; the system's for temporary files otherwise")
    return parser.parse_args()


def _written(folder: Path, counts: dict[str, int]) -> dict[str, list[Path]]:
    return {
        size: write_objects(folder / size, count=count + WARM_UP, rows=SIZES[size], study=f"{STUDY}.{SIZES[size]}")
        for size, count in counts.items()
        if count
    }


def _measure(receiver: Receiver, load: Load, folder: Path) -> dict[str, object] | None:
    """One receiver, fresh; None where it is not installed."""
    received = folder / "received"
    with running(receiver, received) as peer:
        if peer is None:
            return None
        _send(folder, peer, load.sender, load.paths[:WARM_UP])
        waits = receiver.name == "storescp" or (receiver.name == "storescp_nodelay" and load.sender == "storescu")
        count = int((len(load.paths) - WARM_UP) * (SHARE_BESIDE_A_SLOW_PEER if waits else 1))
        took_s, memory_mib = _watched(folder, peer, load.sender, load.paths[WARM_UP : WARM_UP + count])
        if receiver.name == "node":
            _assert_stored(received / "data", WARM_UP + count)
    start, middle, end = memory_mib[0], memory_mib[len(memory_mib) // 2], memory_mib[-1]
    rate = count / took_s
    return {
        "slices": count,
        "slices_per_s": round(rate, 1),
        "rss_mib": {"start": start, "middle": middle, "end": end},
        "is_reached": rate >= SLICES_PER_S_BAR and end - middle < GROWTH_BAR_MIB,
    }


def _watched(folder: Path, peer: Running, sender: str, paths: Sequence[Path]) -> tuple[float, list[float]]:
    """Seconds that it took to send, and the resident memory of the receiver meanwhile."""
    ended, memory_mib = Event(), [_rss_mib(peer)]

    def watch() -> None:
        while not ended.wait(_SAMPLE_EVERY_S):
            memory_mib.append(_rss_mib(peer))

    with ThreadPoolExecutor(1) as beside:
        watching = beside.submit(watch)
        try:
            took_s = _send(folder, peer, sender, paths)
        finally:
            ended.set()
        watching.result()
    return took_s, [*memory_mib, _rss_mib(peer)]


def _rss_mib(peer: Running) -> float:
    """Resident memory now (proc(5))."""
    status = Path(f"/proc/{peer.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def _send(folder: Path, peer: Running, sender: str, paths: Sequence[Path]) -> float:
    """Seconds from the first byte to the last answer; of storescu with its start and its negotiation."""
    if sender == "storescu":
        return _send_by_storescu(folder / "to send", peer, paths)
    command = [folder / "programs" / "ingest_sender", str(peer.port), AE_TITLE, "1", sender, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SENDER_TIMEOUT_S)
    return float(json.loads(done.stdout)["seconds"])


def _send_by_storescu(links: Path, peer: Running, paths: Sequence[Path]) -> float:
    program = shutil.which("storescu")
    if program is None:
        sys.exit("storescu is not installed: apt install dcmtk")
    links.mkdir()
    for path in paths:
        (links / path.name).hardlink_to(path)
    command = [program, "-aec", AE_TITLE, "127.0.0.1", str(peer.port), "+sd", str(links)]
    began_s = time.monotonic()
    subprocess.run(command, capture_output=True, check=True, timeout=SENDER_TIMEOUT_S)
    took_s = time.monotonic() - began_s
    shutil.rmtree(links)
    return took_s


def _assert_stored(data_dir: Path, count: int) -> None:
    """Each slice has its file and its row."""
    with closing(sqlite.connect(data_dir / "index.sqlite")) as index:
        rows = {path for (path,) in index.execute("SELECT relative_path FROM instance")}
    assert len(rows) == count, f"{len(rows)} rows of {count}"
    assert {str(path.relative_to(data_dir)) for path in data_dir.glob("objects/*/*")} == rows


if __name__ == "__main__":
    sys.exit(main())
