"""Jobs done by several processes, or by this one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")

Progress = Callable[[str, float], None]
"""Called with what is being done and how far it is, 0..1."""


def done_jobs(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, processes: int, phase: str, on_progress: Progress
) -> list[Result]:
    """What `work` gives for each job, in the order of the jobs."""
    results: list[Result] = []
    for result in _results(work, jobs, processes):
        results.append(result)
        on_progress(phase, len(results) / len(jobs))
    return results


def _results(work: Callable[[Job], Result], jobs: Sequence[Job], processes: int) -> Iterator[Result]:
    if processes == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    # A fork would inherit torch's threads in an unknown state.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield from pool.map(work, jobs)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
