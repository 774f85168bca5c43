"""Which device the networks run on."""

import SimpleITK
import torch

from pipeline.blas_threads import limit_blas_threads
from pipeline.errors import PipelineError


class NoSuchDeviceError(PipelineError):
    """The device named in the configuration is not there; set `[pipeline].device` to "auto" or "cpu"."""


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is CUDA where there is one, else the CPU.

    Raises:
        NoSuchDeviceError: CUDA was asked for and there is none, or no GPU of this number, or the name means nothing to torch.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as exc:
        raise NoSuchDeviceError from exc
    if device.type == "cuda" and not torch.cuda.is_available():
        raise NoSuchDeviceError
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise NoSuchDeviceError(_too_few(device))
    return device


def _too_few(device: torch.device) -> str:
    last = torch.cuda.device_count() - 1
    numbers = "cuda:0 is the only one" if last == 0 else f"they are cuda:0 to cuda:{last}"
    return f'there is no GPU {device}: {numbers}; set `[pipeline].device` to one of them, "auto" or "cpu"'


def limit_threads(count: int) -> None:
    """Let torch, SimpleITK and the linear algebra of numpy use at most so many CPU threads each; 0 leaves the choice to them."""
    if count:
        torch.set_num_threads(count)
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(count)
        limit_blas_threads(count)
