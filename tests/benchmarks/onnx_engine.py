"""Which engine runs the networks fastest on a CPU: torch in float32 or bfloat16, or ONNX Runtime.

    python tests/benchmarks/onnx_engine.py [--pack FOLDER] [--graphs FOLDER] [--rounds 3]

One phantom patient with an earlier study goes through the whole lung segmenter and the whole lesion detector, on one
thread, with each engine in turn, several rounds; the least CPU time of each counts, so that other work on the machine
does. Beside the times stands how many decisions each engine turns against torch in float32. The last line is one JSON
object; times are milliseconds per slice that the network sees.

`--graphs` names the graphs of an earlier `dicom-node model export --onnx` of the same pack; without it they are
exported first, which takes a minute.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.detect import SpaceTimeDetector
from pipeline.engine import build_engine
from pipeline.export.onnx_files import export_onnx
from pipeline.export.onnx_network import OnnxGraphs, OnnxLungNet, OnnxSpaceTimeNet
from pipeline.golden import GoldenCase
from pipeline.lesions import lesion_maps
from pipeline.lungs import NetworkLungSegmenter
from pipeline.model_pack import ModelPack, load_model_pack
from pipeline.phantom import Course, Kernel, Scan, build_patient, render_study
from pipeline.plug_points import Detection, LesionDetector, LungSegmenter, StudyOnGrid
from pipeline.precision import running_in

CPU = torch.device("cpu")
SCAN = Scan(seed=5, matrix=256, fov_mm=360.0, slice_spacing_mm=6.0, kernel=Kernel.SOFT, noise_hu=10.0)
DAYS = (8.0, 14.0)
REFERENCE = "torch float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """An engine."""

    segmenter: LungSegmenter
    detector: LesionDetector
    dtype: torch.dtype = torch.float32

    def segment(self, case: GoldenCase) -> NDArray[np.uint8]:
        """The lungs of the newer study."""
        with running_in(self.dtype, CPU):
            return self.segmenter.segment(case.volumes_hu[-1], case.spacing_mm)

    def detect(self, case: GoldenCase) -> Detection:
        """The lesions of both studies."""
        valid = np.ones(case.volumes_hu[0].shape, np.bool_)
        pairs = zip(case.volumes_hu, case.lung_masks, strict=True)
        studies = [StudyOnGrid(volume_hu=volume, lung_mask=lungs, valid=valid) for volume, lungs in pairs]
        with running_in(self.dtype, CPU):
            return self.detector.detect(studies, case.grid, [0.0, case.gap_days])


def contestants(pack: ModelPack, graphs: OnnxGraphs) -> dict[str, Contestant]:
    """By name."""
    plain = Contestant(
        segmenter=NetworkLungSegmenter(pack.load_lung_net(CPU), CPU),
        detector=detector(pack, pack.load_space_time_net(CPU)),
    )
    engine = build_engine(pack, CPU)
    onnx: Any = OnnxLungNet(graphs)
    return {
        REFERENCE: plain,
        "torch float32, channels last": Contestant(segmenter=engine.segmenter.inner, detector=engine.detector.inner),  # type: ignore[attr-defined]
        "torch bfloat16, channels last": Contestant(
            segmenter=engine.segmenter.inner,  # type: ignore[attr-defined]
            detector=engine.detector.inner,  # type: ignore[attr-defined]
            dtype=torch.bfloat16,
        ),
        "ONNX Runtime float32": Contestant(
            segmenter=NetworkLungSegmenter(onnx, CPU), detector=detector(pack, OnnxSpaceTimeNet(graphs))
        ),
    }


def detector(pack: ModelPack, net: Any) -> SpaceTimeDetector:
    """Around a network, or what stands in for it."""
    return SpaceTimeDetector(net, contract=pack.contract, thresholds=pack.thresholds)


def build_case() -> GoldenCase:
    """A phantom patient at a size that a site may send."""
    patient = build_patient(4711, course=Course.ADVANCED)
    studies = [render_study(patient, day, scan=SCAN) for day in DAYS]
    return GoldenCase(
        volumes_hu=np.stack([study.volume_hu for study in studies]),
        lung_masks=np.stack([study.lung_mask for study in studies]),
        spacing_mm=studies[0].spacing_mm,
        gap_days=DAYS[1] - DAYS[0],
    )


def least_cpu_s(rounds: int, jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU time of each job, the least of all rounds; the jobs take turns."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start_s = time.process_time()
            job()
            times[name].append(time.process_time() - start_s)
    return {name: min(values) for name, values in times.items()}


def turned(case: GoldenCase, pack: ModelPack, one: Detection, other: Detection) -> dict[str, int]:
    """Decisions on the newer study in which two detections differ."""
    lungs, threshold = case.lung_masks[-1], pack.thresholds.lesion_probability
    voxels = [
        lesion_maps(found, found.studies[-1], lungs, case.grid, threshold=threshold).lesion[lungs > 0]
        for found in (one, other)
    ]
    edge = float(np.log(pack.thresholds.slice_probability / (1.0 - pack.thresholds.slice_probability)))
    slices = [found.studies[-1].slice_logits >= edge for found in (one, other)]
    return {
        "voxels": voxels[0].size,
        "voxels_turned": int(np.count_nonzero(voxels[0] != voxels[1])),
        "slices": slices[0].size,
        "slices_turned": int(np.count_nonzero(slices[0] != slices[1])),
    }


def measure(pack: ModelPack, graphs: OnnxGraphs, rounds: int) -> dict[str, Any]:
    """Times and turned decisions by engine."""
    case, engines = build_case(), contestants(pack, graphs)
    lungs_s = least_cpu_s(rounds, {name: lambda e=engine: e.segment(case) for name, engine in engines.items()})
    lesions_s = least_cpu_s(rounds, {name: lambda e=engine: e.detect(case) for name, engine in engines.items()})
    reference = engines[REFERENCE].detect(case)
    slices = len(case.volumes_hu[0])
    return {
        name: {
            "lungs_ms_per_slice": round(1000 * lungs_s[name] / slices, 2),
            "lesions_ms_per_slice": round(1000 * lesions_s[name] / (2 * slices), 2),
            "times_as_fast_as_torch_float32": round(
                (lungs_s[REFERENCE] + lesions_s[REFERENCE]) / (lungs_s[name] + lesions_s[name]), 2
            ),
            **turned(case, pack, reference, engine.detect(case)),
        }
        for name, engine in engines.items()
    }


def main() -> None:
    """Measure, then say it in one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pack", type=Path, default=None)
    parser.add_argument("--graphs", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pack = load_model_pack(arguments.pack)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.graphs or Path(scratch)
        if arguments.graphs is None:
            export_onnx(pack, folder)
        found = measure(pack, OnnxGraphs(folder, threads=1), arguments.rounds)
    sys.stdout.write(json.dumps({"threads": 1, "engines": found}) + "\n")


if __name__ == "__main__":
    main()
