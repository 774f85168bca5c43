"""In which precision the networks run on a device."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum

import torch

from pipeline.model_pack import DecisionFlips
from pipeline.shared_change import SharedChange


class Precision(StrEnum):
    """What `[pipeline].precision` may say."""

    AUTO = "auto"
    """bfloat16 where the device computes with it and the pack's decisions stay as they are, else float32."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    """Convolutions in bfloat16; recurrent states, heads and everything after them in float32."""


MOST_FLIPPED_SHARE = 0.001
"""bfloat16 may turn at most one decision in a thousand of any kind."""


def choose_precision(wanted: Precision, device: torch.device, flips: DecisionFlips | None) -> torch.dtype:
    """The type that the convolutions run in.

    Args:
        wanted: From the configuration.
        device: Where they run.
        flips: Measured for the pack when it was written; None: never measured.
    """
    if wanted is Precision.FLOAT32:
        return torch.float32
    if wanted is Precision.BFLOAT16:
        return torch.bfloat16
    is_harmless = flips is not None and flips.largest_share <= MOST_FLIPPED_SHARE
    return torch.bfloat16 if is_harmless and computes_in_bfloat16(device) else torch.float32


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for it; without them bfloat16 is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "sve_bf16"))


def _exact() -> AbstractContextManager[None]:
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


_REPEATABLE = SharedChange(_exact)


def repeatable_convolutions() -> AbstractContextManager[None]:
    """Within it convolutions run on a GPU each time by the same algorithm, for as many threads as are in it."""
    return _REPEATABLE.entered()


@contextmanager
def running_in(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Convolutions run in this type and, on a GPU, each time by the same algorithm."""
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)
    with repeatable_convolutions(), autocast:
        yield
