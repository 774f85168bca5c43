"""The parts of a node on one machine: processes, started, watched, restarted."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from threading import Event
from time import monotonic

from dicom_node.child import end_child, start_child

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.5
_RESTART_WAIT_S = 2.0
_GRACE_S = 20.0


@dataclass(slots=True, kw_only=True)
class _Part:
    """One of the processes."""

    name: str
    child: Popen[bytes] | None = field(default=None)
    start_at_s: float = field(default=0.0)


def run_node(config_path: Path | None, names: Sequence[str], *, stop: Event, on_ready: Callable[[], None]) -> None:
    """Run the parts of a node until told to stop; one that ends is started again.

    Args:
        config_path: Configuration file for all; None lets each find its own.
        names: Commands of the parts.
        stop: Set to end all.
        on_ready: Called once all processes are started.
    """
    parts = [_Part(name=name) for name in names]
    try:
        for part in parts:
            _start(part, config_path)
        on_ready()
        while not stop.wait(_LOOK_INTERVAL_S):
            for part in parts:
                _look_after(part, config_path)
    finally:
        for part in parts:
            if part.child:
                end_child(part.child, grace_s=_GRACE_S)


def _start(part: _Part, config_path: Path | None) -> None:
    """Start the process of a part."""
    config = ["--config", str(config_path)] if config_path else []
    part.child = start_child([sys.executable, "-m", "dicom_node", *config, part.name])


def _look_after(part: _Part, config_path: Path | None) -> None:
    """Start a part again, a moment after it ended."""
    if part.child is None:
        if monotonic() >= part.start_at_s:
            _start(part, config_path)
        return
    code = part.child.poll()
    if code is not None:
        logger.error("%s ended with code %d: started again in %g s", part.name, code, _RESTART_WAIT_S)
        part.child = None
        part.start_at_s = monotonic() + _RESTART_WAIT_S
