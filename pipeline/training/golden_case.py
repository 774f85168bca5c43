"""Makes the golden case of a new model pack."""

from functools import cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from pipeline.golden import (
    GoldenCase,
    GoldenExpectation,
    GoldenNetworks,
    GoldenTolerance,
    golden_figures,
)
from pipeline.model_pack import GOLDEN_CASE, GOLDEN_EXPECTATION
from pipeline.phantom import Course, Kernel, Scan, build_patient, render_study

_SEED = 20_200_311
_DAYS = (8.0, 14.0)
_SCAN = Scan(seed=11, matrix=96, fov_mm=360.0, slice_spacing_mm=10.0, margin_mm=5.0, kernel=Kernel.SOFT, noise_hu=4.0)


@cache
def render_golden_case() -> GoldenCase:
    """The case for a new pack; a pack keeps its own, so that it outlives changes of the phantoms."""
    patient = build_patient(_SEED, course=Course.ADVANCED)
    studies = [render_study(patient, day, scan=_SCAN) for day in _DAYS]
    return GoldenCase(
        volumes_hu=np.stack([study.volume_hu for study in studies]),
        lung_masks=np.stack([study.lung_mask for study in studies]),
        spacing_mm=studies[0].spacing_mm,
        gap_days=_DAYS[1] - _DAYS[0],
    )


def write_golden(folder: Path, networks: GoldenNetworks) -> None:
    """Put the golden case into the folder of a new pack, with what its networks say of it.

    Args:
        folder: Of the pack.
        networks: On the CPU, with the weights as they are stored.
    """
    case = render_golden_case()
    (folder / GOLDEN_CASE).parent.mkdir(exist_ok=True)
    np.savez_compressed(
        folder / GOLDEN_CASE,
        volumes_hu=case.volumes_hu,
        lung_masks=case.lung_masks,
        spacing_mm=np.array(case.spacing_mm),
        gap_days=np.array(case.gap_days),
    )
    expectation = GoldenExpectation(figures=golden_figures(networks, case), tolerance=GoldenTolerance())
    text = TypeAdapter(GoldenExpectation).dump_json(expectation, indent=1)
    (folder / GOLDEN_EXPECTATION).write_bytes(text + b"\n")
