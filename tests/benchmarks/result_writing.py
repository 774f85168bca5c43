"""How long SEG and SR of a large study take, and how much memory, beside highdicom alone making the same objects.

    python tests/benchmarks/result_writing.py

Writes a study of 400 slices of 512 x 512 with both lungs on most slices and dozens of lesions, whose two segmentations
have about 840 frames together, into a temporary folder. Then, in processes of their own and in turn, the DICOM files of
the result are made from it by us and by highdicom, from reading the headers of the images to the bytes of the files.
Every repetition is a cold start: highdicom's tables of the standard are read anew, which a running worker does once.
The peak of memory is that of the process with volume and masks (`given_mib` before anything is made). The last line is
one JSON object; processor seconds are those that other programs on the machine disturb less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from large_results import StudyShape, write_study

MOST_SECONDS, MOST_MIB = 3.0, 1024.0
"""What SEG and SR of such a study may take."""


def main() -> None:
    """Write a study, time, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=StudyShape().slices)
    parser.add_argument("--matrix", type=int, default=StudyShape().matrix)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "study"
        write_study(folder, StudyShape(slices=arguments.slices, matrix=arguments.matrix))
        study = json.loads((folder / "about.json").read_text())
        pairs = [(once(folder, "ours"), once(folder, "highdicom")) for _ in range(arguments.repeats)]
        rest = once(folder, "rest")
    figures = report([ours for ours, _ in pairs], [peer for _, peer in pairs])
    sys.stdout.write(json.dumps({**vars(arguments), **study, **figures, "rest": rest["made"]}) + "\n")


def once(folder: Path, way: str) -> dict[str, Any]:
    """One making in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("result_writing_once.py")), str(folder), way]
    paths = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def report(ours: list[dict[str, Any]], peer: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of both, their ratio, and whether the bars are reached."""
    mine, other = summary(ours), summary(peer)
    return {
        "benchmark": "result_writing",
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "ours": mine,
        "highdicom": other,
        "ratio": round(mine["seconds"] / other["seconds"], 3),
        "processor_ratio": round(mine["processor_s"] / other["processor_s"], 3),
        "bars": {
            "seconds": mine["seconds"] < MOST_SECONDS,
            "memory": mine["peak_mib"] < MOST_MIB,
            "same_files": sorted(ours[0]["made"]) == sorted(peer[0]["made"]),
        },
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, with the quickest and the slowest."""
    seconds = [run["seconds"] for run in runs]
    return {
        "seconds": round(statistics.median(seconds), 3),
        "all_seconds": seconds,
        "processor_s": round(statistics.median(run["processor_s"] for run in runs), 3),
        "peak_mib": max(run["peak_mib"] for run in runs),
        "given_mib": runs[0]["given_mib"],
        "bytes": runs[0]["made"],
    }


if __name__ == "__main__":
    main()
