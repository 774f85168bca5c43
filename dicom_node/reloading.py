"""Takes up changes of the configuration file in a process that runs."""

import logging
from dataclasses import dataclass

from config.changes import belongs_to, changed_keys, taking_up
from dicom_node.settings_file import SettingsFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What of the configuration a process lives by."""

    takes_up: frozenset[str]
    """Tables, and single keys, whose changes take effect while it runs."""
    waits_for: frozenset[str]
    """Tables whose other changes take effect when it is started again; the rest does not concern it."""


class Reloading:
    """Follows the file; what cannot take effect now stays as it was, and is named."""

    def __init__(self, file: SettingsFile, reach: Reach) -> None:
        """Begin with what the file says."""
        self._file = file
        self._reach = reach
        self._started_with = self._seen = file.current()
        self.settings = self._started_with
        """In force."""
        self.waiting: tuple[str, ...] = ()
        """Keys whose new values wait for a restart."""

    @property
    def note(self) -> str:
        """What waits for a restart, as a process says it with its sign of life; empty when nothing does."""
        return f"restart needed for {', '.join(self.waiting)}" if self.waiting else ""

    def look(self) -> bool:
        """Look at the file; True where `settings` are others than before."""
        newest = self._file.current(is_settled=True)
        if newest is self._seen:
            return False
        self._seen = newest
        before, self.settings = self.settings, taking_up(self._started_with, newest, self._reach.takes_up)
        taken = changed_keys(before, self.settings)
        waiting = tuple(key for key in changed_keys(self.settings, newest) if belongs_to(key, self._reach.waits_for))
        if taken:
            logger.info("configuration taken up: %s", ", ".join(taken))
        if waiting != self.waiting:
            self.waiting = waiting
            logger.warning("configuration: %s", self.note or "nothing waits for a restart any more")
        return bool(taken)
