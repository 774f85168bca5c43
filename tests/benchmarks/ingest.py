"""How fast the node receives, beside other storage SCPs and beside a C program that only receives and writes.

    python tests/benchmarks/ingest.py [--instances 1200] [--rounds 3] [--disk /srv/scratch] [--only node c_write]
    python tests/benchmarks/ingest.py --small

CT images of 512 x 512 x 16 bit over 1 and 4 associations, into memory and onto a disk, from a C program that replays
prepared P-DATA with TCP_NODELAY and with Nagle's algorithm. The receivers take turns, each fresh in every round; figures
are medians of the rounds. What is not installed is left out (apt install dcmtk orthanc). `--small`: 64 x 64 from DCMTK's
storescu, which leaves Nagle on. The last line is one JSON object.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ingest_objects import write_objects
from ingest_receivers import AE_TITLE, Receiver, Running, receivers, running

ROWS, SMALL_ROWS = 512, 64
WARM_UP = 12
MEMORY = Path("/dev/shm")
STUDY = "1.2.826.0.1.3680043.8.498.77"
SENDER_TIMEOUT_S = 1800
BARS = {
    "memory": {"c_write": 0.75, "orthanc_tuned_nodelay": 4, "pynetdicom_storescp": 10, "fastest_dcmtk": 1},
    "disk": {"c_durable": 0.8, "orthanc": 2},
}
"""What the node is to reach, as its rate over the other's; of Orthanc on one association 1."""


@dataclass(slots=True)
class Figures:
    """Of one receiver under one load, a value for each round."""

    objects_per_s: list[float] = field(default_factory=list)
    cpu_s_per_1000: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)

    def medians(self) -> dict[str, float]:
        """To be printed."""
        return {
            "objects_per_s": round(statistics.median(self.objects_per_s), 1),
            "cpu_s_per_1000": round(statistics.median(self.cpu_s_per_1000), 3),
            "rss_mib": round(max(self.rss_mib), 1),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent, and where to."""

    medium: str
    associations: int
    nagle: str
    """nodelay or nagle."""

    def __str__(self) -> str:
        """As a key of the result."""
        return f"{self.medium}, {self.associations} association{'s' * (self.associations > 1)}, {self.nagle}"


def main() -> None:
    """Measure, compare, report."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=MEMORY) as memory, tempfile.TemporaryDirectory(dir=arguments.disk) as disk:
        programs = Path(memory) / "programs"
        _compile(programs)
        media = {"memory": Path(memory) / "received", "disk": Path(disk) / "received"}
        chosen = [one for one in receivers(programs) if not arguments.only or one.name in arguments.only]
        if arguments.small:
            result = _small(chosen, Path(memory), media["disk"], arguments)
        else:
            result = _large(chosen, programs, media, arguments)
    sys.stdout.write(json.dumps(result) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--senders", nargs="+", default=["nodelay", "nagle"], choices=["nodelay", "nagle"])
    parser.add_argument("--media", nargs="+", default=["memory", "disk"], choices=["memory", "disk"])
    parser.add_argument("--disk", type=Path, help="a folder on a disk; the system's for temporary files otherwise")
    parser.add_argument("--only", nargs="*", default=[], help="names of receivers")
    parser.add_argument("--small", action="store_true", help="slices of 64 x 64 from DCMTK's storescu")
    return parser.parse_args()


def _compile(programs: Path) -> None:
    programs.mkdir()
    for name in ("ingest_receiver", "ingest_sender"):
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run(["gcc", "-O2", "-pthread", "-o", programs / name, source], check=True)


def _large(
    chosen: Sequence[Receiver], programs: Path, media: dict[str, Path], arguments: argparse.Namespace
) -> dict[str, object]:
    objects = write_objects(programs / "objects", count=arguments.instances + WARM_UP, rows=ROWS, study=STUDY)
    loads = [
        Load(medium=medium, associations=associations, nagle=nagle)
        for medium in arguments.media
        for associations in arguments.associations
        for nagle in arguments.senders
    ]
    figures: defaultdict[str, defaultdict[str, Figures]] = defaultdict(lambda: defaultdict(Figures))
    for _ in range(arguments.rounds):
        for load in loads:
            for receiver in chosen:
                _measure(receiver, load, objects, (programs, media[load.medium]), figures[str(load)][receiver.name])
    medians = {
        load: {name: one.medians() for name, one in by_name.items() if one.objects_per_s}
        for load, by_name in figures.items()
    }
    for load, by_name in medians.items():
        _print_table(load, by_name)
    return {
        "benchmark": "ingest",
        "instances": arguments.instances,
        "rows": ROWS,
        "rounds": arguments.rounds,
        "figures": medians,
        "against_bars": [_against_bars(load, medians[str(load)]) for load in loads if str(load) in medians],
    }


def _measure(
    receiver: Receiver, load: Load, objects: Sequence[Path], places: tuple[Path, Path], figures: Figures
) -> None:
    """One receiver, fresh, under one load."""
    programs, folder = places
    with running(receiver, folder) as peer:
        if peer is None:
            return
        # The first objects of a process cost what no later one does: imports, caches, new tables.
        _send(programs, peer, objects[:WARM_UP], load)
        count = max(4, int((len(objects) - WARM_UP) * receiver.share))
        _touch_pages(folder, sum(path.stat().st_size for path in objects[:count]))
        before_s = peer.cpu_s()
        sent = _send(programs, peer, objects[WARM_UP : WARM_UP + count], load)
        figures.cpu_s_per_1000.append((peer.cpu_s() - before_s) / count * 1000)
        figures.objects_per_s.append(count / sent)
        figures.rss_mib.append(peer.rss_mib())


def _send(programs: Path, peer: Running, objects: Sequence[Path], load: Load) -> float:
    """Seconds from the first byte to the last answer."""
    command = [programs / "ingest_sender", str(peer.port), AE_TITLE, str(load.associations), load.nagle, *objects]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SENDER_TIMEOUT_S)
    return float(json.loads(done.stdout)["seconds"])


def _touch_pages(folder: Path, size_bytes: int) -> None:
    """A virtual machine gives free memory back to its host within seconds; its first use would be measured otherwise."""
    warm, piece = folder / "warm", bytes(2**20)
    with warm.open("wb") as stream:
        for _ in range(size_bytes // len(piece) + 1):
            stream.write(piece)
    warm.unlink()


def _against_bars(load: Load, by_name: dict[str, dict[str, float]]) -> dict[str, object]:
    """The node's rate over each other's that a bar is about."""
    rates = {name: figures["objects_per_s"] for name, figures in by_name.items()}
    dcmtk = [rate for name, rate in rates.items() if name.startswith("storescp")]
    if dcmtk:
        rates["fastest_dcmtk"] = max(dcmtk)
    bars = BARS[load.medium]
    if load.associations == 1 and "orthanc" in bars:
        bars = bars | {"orthanc": 1}
    found: dict[str, object] = {"load": str(load)}
    for name, bar in bars.items():
        if "node" in rates and name in rates:
            ratio = rates["node"] / rates[name]
            found[f"over_{name}"] = {"ratio": round(ratio, 3), "bar": bar, "is_reached": ratio >= bar}
    return found


def _small(chosen: Sequence[Receiver], memory: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Slices of 64 x 64 from one storescu; its start and its negotiation are measured too."""
    program = shutil.which("storescu")
    if program is None:
        sys.exit("storescu is not installed: apt install dcmtk")
    write_objects(memory / "objects", count=arguments.instances, rows=SMALL_ROWS, study=STUDY)
    rates: defaultdict[str, list[float]] = defaultdict(list)
    for receiver in list(chosen) * arguments.rounds:
        with running(receiver, folder) as peer:
            if peer is None:
                continue
            command = [program, "-aec", AE_TITLE, "127.0.0.1", str(peer.port), "+sd", str(memory / "objects")]
            started_s = time.monotonic()
            subprocess.run(command, capture_output=True, check=True, timeout=SENDER_TIMEOUT_S)
            rates[receiver.name].append(arguments.instances / (time.monotonic() - started_s))
    medians = {name: round(statistics.median(of_name), 1) for name, of_name in rates.items()}
    for name, rate in medians.items():
        sys.stdout.write(f"{name:32} {rate:10.1f} objects/s\n")
    return {
        "benchmark": "ingest of small slices",
        "instances": arguments.instances,
        "rows": SMALL_ROWS,
        "sender": "storescu",
        "objects_per_s": medians,
        "bar": 100,
        "is_reached": medians.get("node", 0) >= 100,
    }


def _print_table(load: str, by_name: dict[str, dict[str, float]]) -> None:
    sys.stdout.write(f"\n{load}\n{'':32} {'objects/s':>10} {'CPU s/1000':>11} {'RSS MiB':>8}\n")
    for name, figures in by_name.items():
        rate, cpu, rss = figures["objects_per_s"], figures["cpu_s_per_1000"], figures["rss_mib"]
        sys.stdout.write(f"{name:32} {rate:10.1f} {cpu:11.3f} {rss:8.1f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
