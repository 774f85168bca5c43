"""How long a whole analysis and its network take on a GPU, and how much of its memory.

    python tests/benchmarks/gpu_speed.py --cache FOLDER
    python tests/benchmarks/gpu_speed.py --network-only

Writes studies of a phantom patient into the folder (300 slices of 512 x 512, 1 mm apart: minutes of processor time each),
then analyses the newest with three earlier ones in processes of their own: side by side as the pack asks, in float32 and in
bfloat16, then once more as the pack asks, alone. Reported of the last are the whole process from its start to its end, the
analysis by stages, Space-Time-Net alone, the largest device and resident memory; of the others whether two equal runs gave
the same labels, and how many decisions bfloat16 turned. Beside it, in the same run on the same device, a U-Net shaped like
lungmask's R231 (random weights, bfloat16) goes over as many slices. The last line is one JSON object.

With `--network-only` nothing is written: Space-Time-Net alone goes over random studies of as many slices, none of them
averaged in slabs as thin slices otherwise are.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from r231_shape import INPUT_PIXELS, UNet
from speed_phantoms import StudySize, write_study

from pipeline.align import Alignment
from pipeline.detect import SLICES_PER_CHUNK, SLICES_PER_CUDA_CHUNK
from pipeline.model_pack import load_model_pack
from pipeline.precision import MOST_FLIPPED_SHARE, Precision, running_in

MOST_NETWORK_S, MOST_WHOLE_S, MOST_DEVICE_GIB = 1.5, 15.0, 8.0
"""With three earlier studies, on one GPU."""

LUNGS_PIXELS = (192, 256)
"""Rows and columns about the lungs of a large chest on the grid of the network."""

UNTIMED = {"first": Precision.AUTO, "float32": Precision.FLOAT32, "bfloat16": Precision.BFLOAT16}
"""Run side by side, for their labels."""

TIMED = "again"
"""Run alone, as the first was."""


def main() -> None:
    """Write studies, time, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "dicom-node-speed")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--slice-spacing-mm", type=float, default=1.0)
    parser.add_argument("--priors", type=int, choices=range(4), default=3)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--render-only", action="store_true", help="write the studies and stop")
    parser.add_argument("--network-only", action="store_true", help="random studies through Space-Time-Net alone")
    arguments = parser.parse_args()
    if arguments.network_only:
        sys.stdout.write(json.dumps(space_time_net_alone(vars(arguments)), default=str) + "\n")
        return
    size = StudySize(slices=arguments.slices, matrix=arguments.matrix, slice_spacing_mm=arguments.slice_spacing_mm)
    count = arguments.priors + 1
    with ProcessPoolExecutor(min(count, os.cpu_count() or 1)) as pool:
        folders = list(pool.map(write_study, [arguments.cache] * count, [size] * count, range(count)))
    if arguments.render_only:
        return
    *priors, current = folders
    studies = [str(Alignment.AFFINE), str(current), *(str(folder) for folder in reversed(priors))]
    command = ["--device", arguments.device, *studies]
    with ThreadPoolExecutor() as threads:
        jobs = {
            name: threads.submit(analysed, command, precision, arguments.cache / f"{name}.npz")
            for name, precision in UNTIMED.items()
        }
        runs = {name: job.result() for name, job in jobs.items()}
    runs[TIMED] = analysed(command, Precision.AUTO, arguments.cache / f"{TIMED}.npz")
    other = network_alone(arguments.slices, torch.device(arguments.device))
    sys.stdout.write(json.dumps(report(vars(arguments), runs, other), default=str) + "\n")


def analysed(arguments: list[str], precision: Precision, labels: Path) -> dict[str, Any]:
    """One analysis in a process of its own, with its time and memory."""
    script = str(Path(__file__).with_name("analyse_once.py"))
    command = [sys.executable, script, "--precision", precision, "--labels", str(labels), *arguments]
    began = time.monotonic()
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {"whole_s": round(time.monotonic() - began, 2), **json.loads(output.splitlines()[-1])}


def space_time_net_alone(arguments: dict[str, Any]) -> dict[str, Any]:
    """Seconds and device memory of Space-Time-Net over random studies, its second pass."""
    device = torch.device(arguments["device"])
    net = load_model_pack(None).load_space_time_net(device).to(memory_format=torch.channels_last)
    shape = (arguments["priors"] + 1, arguments["slices"])
    sequence = torch.rand((*shape, 4, *LUNGS_PIXELS), generator=torch.Generator().manual_seed(1))
    valid = torch.ones((*shape, 1, *LUNGS_PIXELS), dtype=torch.bool)
    gap_days = torch.full((shape[0],), 5.0)
    seconds: dict[str, float] = {}
    chunk_slices = SLICES_PER_CUDA_CHUNK if device.type == "cuda" else SLICES_PER_CHUNK
    for dtype in (torch.bfloat16, torch.float32):
        for _ in range(2):
            began = time.monotonic()
            with torch.inference_mode(), running_in(dtype, device):
                net.stream(sequence, valid, gap_days, chunk_slices=chunk_slices)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[str(dtype)] = round(time.monotonic() - began, 3)
    on_gpu = device.type == "cuda"
    return {
        "benchmark": "gpu_speed, network only",
        **arguments,
        "card": torch.cuda.get_device_name() if on_gpu else None,
        "pixels": LUNGS_PIXELS,
        "seconds": seconds,
        "peak_device_gib": round(torch.cuda.max_memory_reserved() / 1024**3, 2) if on_gpu else None,
        "reached": max(seconds.values()) <= MOST_NETWORK_S,
    }


def network_alone(slices: int, device: torch.device) -> dict[str, Any]:
    """Seconds that the other network needs for all slices, its second pass over them."""
    net = UNet().eval().to(device)
    images = torch.rand((4, 1, INPUT_PIXELS, INPUT_PIXELS), generator=torch.Generator().manual_seed(1)).to(device)
    seconds: list[float] = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for _ in range(2):
            began = time.monotonic()
            for _ in range(-(-slices // len(images))):
                net(images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.monotonic() - began)
    return {"network_s": round(seconds[-1], 3), "slices": slices}


def flips(cache: Path) -> dict[str, float]:
    """Share of voxels in which bfloat16 decides otherwise than float32."""
    exact, coarse = (np.load(cache / f"{name}.npz") for name in ("float32", "bfloat16"))
    lungs = max(1, int(np.count_nonzero(exact["lungs"])))
    return {
        "lungs": np.count_nonzero(exact["lungs"] != coarse["lungs"]) / lungs,
        "lesions": np.count_nonzero((exact["lesions"] > 0) != (coarse["lesions"] > 0)) / lungs,
    }


def same_twice(cache: Path) -> bool:
    """Whether two equal runs gave the same labels."""
    first, again = (np.load(cache / f"{name}.npz") for name in ("first", TIMED))
    return all(np.array_equal(first[name], again[name]) for name in ("lungs", "lesions"))


def report(arguments: dict[str, Any], runs: dict[str, dict[str, Any]], other: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, against what is allowed."""
    cache = arguments["cache"]
    turned = flips(cache)
    run = runs[TIMED]
    on_gpu = arguments["device"] != "cpu"
    return {
        "benchmark": "gpu_speed",
        **arguments,
        "card": torch.cuda.get_device_name() if on_gpu else None,
        "cores": os.cpu_count(),
        "runs": runs,
        "other_network": other,
        "network_ratio": round(run["network_s"] / other["network_s"], 3),
        "bfloat16_flips": turned,
        "bars": {
            "network": run["network_s"] <= MOST_NETWORK_S,
            "whole": run["whole_s"] <= MOST_WHOLE_S,
            "device_memory": on_gpu and run["peak_device_gib"] <= MOST_DEVICE_GIB,
            "same_twice": same_twice(cache),
            "bfloat16": bool(max(turned.values()) <= MOST_FLIPPED_SHARE),
            "all_priors_used": run["priors_used"] == arguments["priors"],
        },
    }


if __name__ == "__main__":
    main()
