"""Analyses one study in a process of its own; the last line is one JSON object with seconds per stage.

python tests/benchmarks/analyse_once.py [--device cuda] [--precision float32] [--labels FILE.npz] ALIGNMENT CURRENT [PRIOR ...]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed_phantoms import prior_studies, study_files

from pipeline.align import Alignment
from pipeline.engine import EngineParts, build_engine
from pipeline.findings import Analysis
from pipeline.model_pack import load_model_pack
from pipeline.precision import Precision
from pipeline.run import analyse_with
from pipeline.space_time import SpaceTimeNet


class StageClock:
    """Told the stages as they begin, keeps how long each took."""

    def __init__(self) -> None:
        """Nothing has begun."""
        self.seconds: dict[str, float] = {}
        self._stage = ""
        self._began = time.monotonic()

    def begin(self, stage: str, _fraction: float) -> None:
        """End the stage before."""
        now = time.monotonic()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._began
        self._stage, self._began = stage, now


def timed_network(device: torch.device, seconds: list[float]) -> None:
    """Adds how long Space-Time-Net itself takes, each time it runs, until its answers are there."""
    stream = SpaceTimeNet.stream

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.monotonic()
        outputs = stream(*arguments, **options)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - began)
        return outputs

    SpaceTimeNet.stream = timed  # type: ignore[method-assign]  # what is timed is the network as it is


def peak_kib() -> int:
    """Largest resident memory of this process; what the system tells its parent may be that of the parent itself."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def measured(analyse: Callable[[StageClock], Analysis], device: torch.device) -> tuple[Analysis, dict[str, Any]]:
    """What an analysis said, and what it took."""
    clock = StageClock()
    network_s: list[float] = []
    timed_network(device, network_s)
    began, processor = time.monotonic(), time.process_time()
    analysis = analyse(clock)
    return analysis, {
        "analyse_s": round(time.monotonic() - began, 2),
        "processor_s": round(time.process_time() - processor, 2),
        "network_s": round(sum(network_s), 3),
        "peak_gib": round(peak_kib() / 1024**2, 2),
        "peak_device_gib": round(torch.cuda.max_memory_reserved() / 1024**3, 2) if device.type == "cuda" else None,
        "stages_s": {stage: round(seconds, 2) for stage, seconds in clock.seconds.items()},
    }


def main() -> None:
    """Analyse, report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", type=Precision, default=Precision.AUTO)
    parser.add_argument("--labels", type=Path, help="where the lung and lesion labels go")
    parser.add_argument("alignment", type=Alignment)
    parser.add_argument("current", type=Path)
    parser.add_argument("priors", type=Path, nargs="*")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)

    def analyse(clock: StageClock) -> Analysis:
        engine = build_engine(load_model_pack(None), device, EngineParts(precision=arguments.precision))
        return analyse_with(
            engine,
            study_files(arguments.current),
            prior_studies(arguments.priors),
            alignment=arguments.alignment,
            on_progress=clock.begin,
        )

    analysis, taken = measured(analyse, device)
    if arguments.labels:
        np.savez_compressed(arguments.labels, lungs=analysis.lung_mask, lesions=analysis.lesion_labels)
    findings = analysis.findings
    report = {
        **taken,
        "slices": len(findings.input_sop_instance_uids),
        "priors_used": len(findings.priors_used),
        "priors_dropped": [dropped.reason for dropped in findings.priors_dropped],
        "lesions": len(findings.lesions),
        "involvement_percent": round(findings.involvement_percent, 2),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
