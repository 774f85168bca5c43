"""What two configurations differ in, and what of the newer one takes effect in a process that runs."""

from collections.abc import Iterator

from pydantic import BaseModel

from config.settings import Settings


def changed_keys(before: Settings, after: Settings) -> tuple[str, ...]:
    """Keys with another value, as `listen.port`; all blocks of peers together are `peers`."""
    return tuple(_changed(before, after, ""))


def taking_up(started_with: Settings, newest: Settings, keys: frozenset[str]) -> Settings:
    """The settings that a process started with, with the newest values of some keys.

    Args:
        started_with: By the process.
        newest: What the file says now.
        keys: Names of tables, or of values as `listen.port`, that take effect while it runs.
    """
    update: dict[str, object] = {}
    for table in sorted({key.partition(".")[0] for key in keys}):
        if table in keys:
            update[table] = getattr(newest, table)
            continue
        names = [key.partition(".")[2] for key in keys if key.startswith(f"{table}.")]
        values = {name: getattr(getattr(newest, table), name) for name in names}
        update[table] = getattr(started_with, table).model_copy(update=values)
    return started_with.model_copy(update=update)


def belongs_to(key: str, keys: frozenset[str]) -> bool:
    """Whether a key is one of these, or of one of these tables."""
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def _changed(before: BaseModel, after: BaseModel, prefix: str) -> Iterator[str]:
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, BaseModel) and isinstance(new, BaseModel):
            yield from _changed(old, new, f"{prefix}{name}.")
        elif old != new:
            yield f"{prefix}{name}"
