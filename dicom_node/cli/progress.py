"""Progress of long work: a bar for what is being done, a line for each phase that is over."""

from time import monotonic
from types import TracebackType
from typing import Self

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from dicom_node.cli.output import error_console


class PhaseProgress:
    """Draws on stderr, so that stdout stays for results; on no terminal only the lines are left."""

    def __init__(self) -> None:
        """Start with nothing to show."""
        columns = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=error_console(), transient=True)
        self._task: TaskID | None = None
        self._phase = ""
        self._since_s = 0.0

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the lines, take the bar away."""
        if error is None:
            self.finish()
        self._progress.stop()

    def begin(self, title: str) -> None:
        """Head the phases that follow."""
        self.finish()
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = None
        self._progress.console.print(escape(title), style="bold")

    def show(self, phase: str, fraction: float) -> None:
        """Draw how far the work is.

        Args:
            phase: What is being done; a new one ends the one before.
            fraction: 0..1.
        """
        if phase != self._phase:
            self.finish()
            self._phase, self._since_s = phase, monotonic()
        if self._task is None:
            self._task = self._progress.add_task("", total=1.0)
        self._progress.update(self._task, completed=fraction, description=escape(phase))

    def finish(self) -> None:
        """End the phase: a line stays that says how long it took."""
        if self._phase:
            self._progress.console.print(f"  {escape(self._phase)}: {monotonic() - self._since_s:.1f} s")
        self._phase = ""
