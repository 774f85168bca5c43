"""Jobs done by several processes, or by this one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType
from typing import Self, TypeVar

from pipeline.device import limit_threads

Job = TypeVar("Job")
Result = TypeVar("Result")

Progress = Callable[[str, float], None]
"""Called with what is being done and how far it is, 0..1."""


class Workers:
    """Processes that stay for many jobs: bringing one up takes longer than many a job."""

    def __init__(self, processes: int, on_progress: Progress) -> None:
        """One process is this one."""
        # A fork would inherit torch's threads in an unknown state.
        context = get_context("spawn")
        self._on_progress = on_progress
        self._pool = (
            ProcessPoolExecutor(processes, mp_context=context, initializer=limit_threads, initargs=(1,))
            if processes > 1
            else None
        )

    def __enter__(self) -> Self:
        """Nothing is started before there is a job."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the processes; jobs that nobody waits for any more are not begun."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def do(self, work: Callable[[Job], Result], jobs: Sequence[Job], *, phase: str) -> list[Result]:
        """What `work` gives for each job, in the order of the jobs."""
        results: list[Result] = []
        for result in self._results(work, jobs):
            results.append(result)
            self._on_progress(phase, len(results) / len(jobs))
        return results

    def _results(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        return map(work, jobs) if self._pool is None else self._pool.map(work, jobs)
