"""Whether a node can take studies now, told without an association."""

from collections.abc import Iterator
from dataclasses import dataclass
from shutil import disk_usage

from config.settings import Settings
from dicom_node.clock import Clock
from storage.errors import StorageError
from storage.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What `/ready` answers."""

    ready: bool
    problems: tuple[str, ...]


def readiness(settings: Settings, index: Index, *, clock: Clock) -> Readiness:
    """Look at the sign of life of this machine's listener, at the index and the disk.

    The listener leaves its sign only after it answered a C-ECHO of its own and the index took a write.
    """
    problems = (*_of_listener(settings, index, clock), *_of_disk(settings))
    return Readiness(ready=not problems, problems=problems)


def _of_listener(settings: Settings, index: Index, clock: Clock) -> Iterator[str]:
    own = ("listen", settings.machine)
    try:
        beats = [beat for beat in index.heartbeats() if (beat.process, beat.machine) == own]
    except StorageError:
        yield "the index cannot be read"
        return
    limit_s = settings.watching.heartbeat_limit_s
    if not beats or (clock.now() - beats[0].at).total_seconds() > limit_s:
        yield f"the listener left no sign of life for {limit_s:g} s"


def _of_disk(settings: Settings) -> Iterator[str]:
    try:
        free_bytes = disk_usage(settings.data_dir).free
    except OSError:
        yield "the data folder cannot be read"
        return
    if free_bytes < settings.storage.refused_below_bytes:
        yield "free space is below the sum of [storage].free_floor_bytes and association_margin_bytes: senders are refused"
