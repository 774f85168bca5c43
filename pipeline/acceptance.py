"""Whether a model pack may be used: whole, as described, and saying what it said when it was written."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.detect import SpaceTimeDetector
from pipeline.errors import ModelPackError
from pipeline.golden import GoldenNetworks, deviations, golden_figures, read_golden
from pipeline.model_pack import ModelPack, load_model_pack


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedPack:
    """A pack that was tried."""

    pack: ModelPack
    dry_run_s: float | None
    """How long the golden case took, loading of the weights included; None: the pack is of format 1 and has none."""


def accept_pack(folder: Path | None, device: torch.device) -> AcceptedPack:
    """Try a model pack out: schema, files, and a dry run on its golden case.

    Args:
        folder: None is the bundled pack.
        device: Where the dry run takes place.

    Raises:
        ModelPackError: The pack is refused, with everything that is wrong.
    """
    pack = load_model_pack(folder)
    start_s = time.monotonic()
    networks = GoldenNetworks(
        lung_net=pack.load_lung_net(device),
        detector=SpaceTimeDetector(
            pack.load_space_time_net(device), contract=pack.contract, thresholds=pack.thresholds, device=device
        ),
        device=device,
    )
    if not pack.has_golden_case:
        return AcceptedPack(pack=pack, dry_run_s=None)
    case, expectation = read_golden(pack.folder)
    off = deviations(golden_figures(networks, case), expectation)
    if off:
        reason = f"the model pack does not say of its golden case what it said when it was written: {'; '.join(off)}"
        raise ModelPackError(reason)
    return AcceptedPack(pack=pack, dry_run_s=time.monotonic() - start_s)
