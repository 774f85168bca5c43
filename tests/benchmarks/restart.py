"""How long a listener needs from its start to its first association, with many instances in the index and on disk.

    python tests/benchmarks/restart.py --instances 10000 200000 [--rounds 3] [--disk /srv/scratch]

Three ways to come to the start: after an orderly stop; after an orderly stop with the index out of the page cache, as after
a reboot; after SIGKILL under load, with an unfinished write-ahead log and 1,000 objects that never arrived whole, which the
boot sweep removes. After each kill whatever was acknowledged must be in the index. Seconds from the start of the process to
the answer A-ASSOCIATE-AC. The last line is one JSON object.
"""

import argparse
import hashlib
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pysqlite3.dbapi2 as sqlite
from index_filling import INSTANCES_PER_STUDY, fill

from builders.deadline import until
from builders.faulty_node import FaultyNode
from builders.instances import ct_instance
from builders.kill_cycle import faulty_node
from builders.node import AE_TITLE
from builders.raw_peer import A_ASSOCIATE_AC, RawPeer
from builders.sender_ledger import SenderLedger

BARS_S = {10_000: 5.0, 200_000: 15.0}
PARTS_LEFT = 1000
KILLED_AFTER = 100
"""Images acknowledged."""
PART_BYTES = 64 * 1024
_LISTENS_WITHIN_S = 300
_UID = b"1.2.826.0.1.3680043.8.498." + b"7" * 31
"""As long as the UIDs of the filling: the bytes of one file become those of another by putting its UID here."""


def main() -> int:
    """Fill, stop, start."""
    arguments = _arguments()
    figures = {}
    for instances in arguments.instances:
        with tempfile.TemporaryDirectory(dir=arguments.disk) as folder:
            figures[instances] = measure(Path(folder), instances, arguments.rounds)
    result = {
        "benchmark": "restart",
        "unit": "seconds to the first association",
        "parts_left_by_a_kill": PARTS_LEFT,
        "figures": figures,
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, nargs="+", default=list(BARS_S))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--disk", type=Path, help="a folder on a disk; the system's for temporary files otherwise")
    return parser.parse_args()


def measure(folder: Path, instances: int, rounds: int) -> dict[str, object]:
    """Of one node."""
    data_dir = folder / "data"
    data_dir.mkdir()
    fill_node(data_dir, instances)
    waits: dict[str, list[float]] = {"stopped": [], "stopped_cold": [], "killed": []}
    with faulty_node(folder, by_interpreter=True) as node:
        for number in range(rounds):
            node.stop("listen")
            waits["stopped"].append(_start_s(node))
            node.stop("listen")
            _forget_pages(data_dir)
            waits["stopped_cold"].append(_start_s(node))
            waits["killed"].append(_killed_s(node, number))
    index_mib = (data_dir / "index.sqlite").stat().st_size / 2**20
    figures: dict[str, object] = {
        how: {"median": round(statistics.median(of_how), 2), "slowest": round(max(of_how), 2)}
        for how, of_how in waits.items()
    }
    slowest_s = max(map(max, waits.values()))
    bar_s = BARS_S.get(instances)
    return figures | {"index_mib": round(index_mib, 1), "bar": bar_s, "is_reached": bar_s and slowest_s < bar_s}


def fill_node(data_dir: Path, instances: int) -> None:
    """Small CT images on disk under the hashes of their bytes, each with its row."""
    url = f"sqlite:///{data_dir / 'index.sqlite'}"
    fill(url, studies=max(1, instances // INSTANCES_PER_STUDY))
    with closing(sqlite.connect(data_dir / "index.sqlite")) as index:
        uids = [uid for (uid,) in index.execute("SELECT sop_instance_uid FROM instance")]
        rows = list(_files(data_dir, uids))
        index.executemany(
            "UPDATE instance SET sha256 = ?, relative_path = ?, size_bytes = ? WHERE sop_instance_uid = ?", rows
        )
        index.commit()


def _files(data_dir: Path, uids: list[str]) -> Iterator[tuple[str, str, int, str]]:
    """Write a file for each UID; hash, path and size of each."""
    template = BytesIO()
    ct_instance(SOPInstanceUID=_UID.decode()).save_as(template, enforce_file_format=True)
    for number in range(256):
        (data_dir / "objects" / f"{number:02x}").mkdir(parents=True)
    for uid in uids:
        assert len(uid) == len(_UID)
        content = template.getvalue().replace(_UID, uid.encode())
        digest = hashlib.sha256(content).hexdigest()
        path = f"objects/{digest[:2]}/{digest}.dcm"
        (data_dir / path).write_bytes(content)
        yield digest, path, len(content), uid


def _start_s(node: FaultyNode) -> float:
    """Seconds from the start of the process to the acceptance of an association."""
    began_s = time.monotonic()
    node.start("listen")
    until(lambda: _accepts(node.port), within_s=_LISTENS_WITHIN_S, what="the node takes associations")
    return time.monotonic() - began_s


def _accepts(port: int) -> bool:
    try:
        with RawPeer(port) as peer:
            return peer.associate(called=AE_TITLE.encode())[0] == A_ASSOCIATE_AC
    except OSError:
        return False


def _forget_pages(data_dir: Path) -> None:
    """Let the kernel drop what it has of the index (posix_fadvise(2))."""
    for path in data_dir.glob("index.sqlite*"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _killed_s(node: FaultyNode, number: int) -> float:
    """A kill in the middle of a study, then the start and the promises."""
    sent = SenderLedger()
    study = [ct_instance(image, study=f"1.2.826.{number}") for image in range(2 * KILLED_AFTER)]
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(sent.send, node.port, study)
        until(lambda: len(sent.acknowledged) >= KILLED_AFTER, within_s=120, what="enough is acknowledged")
        node.kill("listen")
        assert sending.result(), "the kill came after the last image"
    for _ in range(PARTS_LEFT):
        (node.data_dir / "incoming" / f"{secrets.token_hex(16)}.part").write_bytes(bytes(PART_BYTES))
    took_s = _start_s(node)
    assert not list((node.data_dir / "incoming").iterdir()), "the boot sweep left something"
    with closing(sqlite.connect(node.data_dir / "index.sqlite")) as index:
        known = {uid for (uid,) in index.execute("SELECT sop_instance_uid FROM instance")}
    assert sent.acknowledged.keys() <= known, "acknowledged objects are not in the index"
    return took_s


if __name__ == "__main__":
    sys.exit(main())
