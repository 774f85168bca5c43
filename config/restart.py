"""Which settings a running process takes up at once, and which it takes up at its next start."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel

from config.settings import Settings

Process = Literal["listen", "work", "web"]

_OF_ALL = frozenset({"node", "storage.database_url", "storage.shared", "log", "audit"})
AT_NEXT_START: dict[Process, frozenset[str]] = {
    "listen": _OF_ALL
    | {"listen.host", "listen.port", "listen.processes", "listen.plain", "listen.backlog", "listen.tls"},
    "work": _OF_ALL | {"pipeline.engine", "ray"},
    "web": _OF_ALL | {"web", "watching"},
}
"""Tables and keys that a process read once: ports, folders, files that it keeps open. Everything else is followed."""

ON_A_CLUSTER: dict[Process, frozenset[str]] = {
    "work": frozenset({"pipeline.device", "pipeline.memory_limit_bytes", "pipeline.time_limit_s"})
}
"""What is read once as well by a process that started with engine = "ray": its driver and actors are told at their start."""


def places_at_next_start(process: Process, started_with: Settings) -> tuple[str, ...]:
    """The tables and keys that a process with these settings takes up at its next start, in order."""
    places = AT_NEXT_START[process]
    if started_with.pipeline.engine == "ray":
        places |= ON_A_CLUSTER.get(process, frozenset())
    return tuple(sorted(places))


def settings_in_force(process: Process, started_with: Settings, now: Settings) -> Settings:
    """The settings of the file as far as the process takes them up, those that it started with for the rest."""
    kept: dict[str, BaseModel] = {}
    for place in places_at_next_start(process, started_with):
        table, _, key = place.partition(".")
        old, new = getattr(started_with, table), kept.get(table, getattr(now, table))
        kept[table] = _with_key_of(old, new, key) if key else old
    return now.model_copy(update=kept)


def _with_key_of(old: BaseModel, new: BaseModel, key: str) -> BaseModel:
    """The new table with a key of the old one, and with whether that was written there."""
    made = new.model_copy(update={key: getattr(old, key)})
    if key not in old.model_fields_set:
        made.model_fields_set.discard(key)
    return made


def keys_at_next_start(process: Process, started_with: Settings, now: Settings) -> tuple[str, ...]:
    """What the process does not take up of a change, each as `[table].key`."""
    found: list[str] = []
    for place in places_at_next_start(process, started_with):
        table, _, key = place.partition(".")
        old, new = getattr(started_with, table), getattr(now, table)
        found += _differing(old, new, table, [key] if key else type(old).model_fields)
    return tuple(found)


def _differing(old: BaseModel, new: BaseModel, table: str, keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        before, after = getattr(old, key), getattr(new, key)
        if isinstance(before, BaseModel):
            yield from _differing(before, after, f"{table}.{key}", type(before).model_fields)
        elif before != after:
            yield f"[{table}].{key}"
