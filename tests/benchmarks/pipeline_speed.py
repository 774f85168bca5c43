"""How long a whole analysis takes, and how much memory, beside the U-Net of a common lung segmenter alone.

    python tests/benchmarks/pipeline_speed.py --cache FOLDER

Writes three studies of a phantom patient into the folder (300 slices of 512 x 512, 1 mm apart), then analyses the newest
in processes of their own: alone, and with both earlier ones, of which nothing is known but their images. Reported are the
whole process from its start to its end, its largest resident memory, and the analysis itself by stages. In the same run a
U-Net shaped like lungmask's R231 (random weights) goes over slices of the same count: some are timed, and their fastest
batch is scaled to all. The last line is one JSON object; `ratio` is the whole process against that network alone, and
`processor_ratio` the same in processor seconds, which other programs on the machine disturb less.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from r231_shape import INPUT_PIXELS, UNet
from speed_phantoms import StudySize, write_studies
from torch.utils.flop_counter import FlopCounterMode

from pipeline.align import Alignment

MOST_SECONDS, MOST_GIB, LARGEST_RATIO = 60.0, 2.5, 0.2
"""What a study with two earlier ones may take."""


def main() -> None:
    """Write studies, time, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "dicom-node-speed")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--slice-spacing-mm", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--batches", type=int, default=3, help="batches of four slices through the other network")
    parser.add_argument("--alignment", choices=[str(one) for one in Alignment], default=str(Alignment.AFFINE))
    arguments = parser.parse_args()
    size = StudySize(slices=arguments.slices, matrix=arguments.matrix, slice_spacing_mm=arguments.slice_spacing_mm)
    *priors, current = write_studies(arguments.cache, size)
    other = network_alone(arguments.slices, threads=arguments.threads, batches=arguments.batches)
    runs = {
        name: analysed([arguments.alignment, str(current), *folders], threads=arguments.threads)
        for name, folders in (("no_priors", []), ("two_priors", [str(folder) for folder in reversed(priors)]))
    }
    sys.stdout.write(json.dumps(report(vars(arguments), runs, other), default=str) + "\n")


def analysed(arguments: list[str], *, threads: int) -> dict[str, Any]:
    """One analysis in a process of its own, with its time and memory."""
    command = [sys.executable, str(Path(__file__).with_name("analyse_once.py")), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads)}
    began = time.monotonic()
    output = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=True).stdout
    return {"whole_s": round(time.monotonic() - began, 2), **json.loads(output.splitlines()[-1])}


def network_alone(slices: int, *, threads: int, batches: int) -> dict[str, Any]:
    """Seconds that the other network needs for all slices, from its fastest batch of four."""
    torch.set_num_threads(threads)
    net = UNet().eval()
    images = torch.rand((4, 1, INPUT_PIXELS, INPUT_PIXELS), generator=torch.Generator().manual_seed(1))
    seconds: list[float] = []
    processor = time.process_time()
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            net(images)
        for _ in range(batches):
            began = time.monotonic()
            net(images)
            seconds.append(time.monotonic() - began)
        processor = time.process_time() - processor
    return {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "gflop_per_slice": round(counter.get_total_flops() / len(images) / 1e9, 1),
        "timed_slices": batches * len(images),
        "fastest_s_per_slice": round(min(seconds) / len(images), 4),
        "processor_s_per_slice": round(processor / ((batches + 1) * len(images)), 4),
        "scaled_to_slices": slices,
        "network_s": round(min(seconds) / len(images) * slices, 2),
    }


def report(arguments: dict[str, Any], runs: dict[str, dict[str, Any]], other: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, against what is allowed."""
    for run in runs.values():
        run["ratio"] = round(run["whole_s"] / other["network_s"], 4)
        run["processor_ratio"] = round(run["processor_s"] / (other["processor_s_per_slice"] * arguments["slices"]), 4)
    largest = runs["two_priors"]
    return {
        "benchmark": "pipeline_speed",
        **arguments,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "runs": runs,
        "other_network": other,
        "bars": {
            "seconds": largest["whole_s"] <= MOST_SECONDS,
            "memory": largest["peak_gib"] <= MOST_GIB,
            "ratio": largest["ratio"] <= LARGEST_RATIO,
            "both_priors_used": largest["priors_used"] == 2,
        },
    }


if __name__ == "__main__":
    main()
