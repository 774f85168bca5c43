"""The networks on a CUDA device say what they say on the CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

from builders.small_patient import write_small_patient
from pipeline.findings import Analysis
from pipeline.model_pack import load_model_pack
from pipeline.run import analyse
from pipeline.study import StudyFiles

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

DECISION_FLIPS = 1e-3
"""Share of lung voxels that may fall on the other side of a threshold: sums in another order round differently."""


def analyse_on(device: str, paths: list[Path]) -> Analysis:
    """A whole run with the bundled weights."""
    files = StudyFiles(study_instance_uid="1.2.3", acquired_at=None, paths=tuple(paths))
    return analyse(files, (), pack=load_model_pack(None), device=device, on_progress=lambda *_: None)


def test_cuda_and_cpu_find_the_same(tmp_path: Path) -> None:
    """Masks differ by rounding at most."""
    paths = write_small_patient(tmp_path).current.paths
    on_cpu, on_cuda = analyse_on("cpu", paths), analyse_on("cuda", paths)
    lung_voxels = np.count_nonzero(on_cpu.lung_mask)
    assert lung_voxels > 0
    assert np.count_nonzero(on_cpu.lung_mask != on_cuda.lung_mask) <= DECISION_FLIPS * lung_voxels
    flips = np.count_nonzero((on_cpu.lesion_labels > 0) != (on_cuda.lesion_labels > 0))
    assert flips <= DECISION_FLIPS * lung_voxels


def test_cuda_twice_is_the_same(tmp_path: Path) -> None:
    """Same input, same weights, same result."""
    paths = write_small_patient(tmp_path).current.paths
    first, second = analyse_on("cuda", paths), analyse_on("cuda", paths)
    assert first.findings == second.findings
    assert np.array_equal(first.lesion_labels, second.lesion_labels)
