"""A model pack on a CUDA device."""

from pathlib import Path

import pytest
import torch

from builders.packs import tiny_pack
from pipeline.acceptance import accept_pack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_a_pack_that_was_written_on_a_cpu_is_accepted_on_a_gpu(tmp_path: Path) -> None:
    """The tolerance of the golden case leaves room for another order of sums."""
    assert accept_pack(tiny_pack(tmp_path / "pack"), torch.device("cuda")).dry_run_s is not None
