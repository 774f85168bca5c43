"""Batches drawn ahead of the network, in processes of their own: a GPU is done with a batch before a core has drawn one."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch.utils.data import DataLoader, Dataset

Batch = TypeVar("Batch")

AHEAD = 4
"""Batches that each process keeps ready."""


class _Batches(Dataset[Batch], Generic[Batch]):
    """Batches by the number of their step."""

    def __init__(self, draw: Callable[[int], Batch]) -> None:
        self._draw = draw

    def __getitem__(self, step: int) -> Batch:
        return self._draw(step)


def drawn_ahead(draw: Callable[[int], Batch], steps: int, loaders: int) -> Callable[[int], Batch]:
    """The same batches as `draw` gives, drawn before they are asked for.

    Args:
        draw: Batch of a step, which depends on its number alone.
        steps: There is none after this many.
        loaders: Processes that draw; 0 draws in this one, when it is asked.

    Returns:
        To be asked for one step after the other, from any step.
    """
    if not loaders:
        return draw
    running: list[Iterator[Batch]] = []

    def drawn(step: int) -> Batch:
        if not running:
            running.append(iter(_loader(draw, range(step, steps), loaders)))
        return next(running[0])

    return drawn


def _loader(draw: Callable[[int], Batch], steps: range, loaders: int) -> DataLoader[Batch]:
    """Forked, since cases lie on disk behind maps that would be read whole to be sent; torch has one thread in each."""
    return DataLoader(
        _Batches(draw),
        batch_size=None,
        sampler=steps,
        num_workers=loaders,
        prefetch_factor=AHEAD,
        collate_fn=_as_drawn,
        multiprocessing_context="fork",
    )


def _as_drawn(batch: Batch) -> Batch:
    return batch
