"""CPU threads of the libraries, which belong to the process that tests share."""

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK
import torch

from pipeline.blas_threads import blas_threads, limit_blas_threads


@contextmanager
def two_threads_each() -> Iterator[None]:
    """Libraries may use two CPU threads each, and afterwards as many as before."""
    before = torch.get_num_threads(), SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads(), max(blas_threads())
    _let_use(2, 2, 2)
    try:
        yield
    finally:
        _let_use(*before)


def threads_of_libraries() -> set[int]:
    """How many each may use: one number where all may use the same."""
    itk = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    assert blas_threads(), "numpy computes with another library than its wheels bring"
    return {torch.get_num_threads(), itk, *blas_threads()}


def _let_use(of_torch: int, of_itk: int, of_blas: int) -> None:
    torch.set_num_threads(of_torch)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(of_itk)
    limit_blas_threads(of_blas)
