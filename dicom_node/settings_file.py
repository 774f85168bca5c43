"""The settings of a running process: it follows its configuration file, as far as it can without a restart."""

import logging
from pathlib import Path
from threading import Lock

from config import ConfigError, load_settings
from config.restart import Process, keys_at_next_start, settings_in_force
from config.settings import Settings
from dicom_node.file_stamp import stamp_of

logger = logging.getLogger(__name__)


class SettingsFile:
    """Reads the configuration again when its file changed; a file with mistakes changes nothing."""

    def __init__(self, path: Path | None, settings: Settings, *, process: Process = "web") -> None:
        """Begin with settings that are loaded.

        Args:
            path: Of the file; None where there is none.
            settings: What it says.
            process: Whose settings they are.
        """
        self.path = path
        self.started_with = settings
        self.settings = settings
        """In force: what the file said without mistakes, except what waits for the next start."""
        self.problems: tuple[str, ...] = ()
        """Of the file as it is now; the settings before them stay in force."""
        self.needs_restart: tuple[str, ...] = ()
        """Keys that changed since the start and are taken up at the next one."""
        self._process = process
        self._lock = Lock()
        self._read_at = self._seen = stamp_of(path)

    @classmethod
    def opened(cls, path: Path | None, process: Process) -> "SettingsFile":
        """Read the file, so that no change of it is missed from here on; ConfigError with every problem."""
        stamp = stamp_of(path)
        made = cls(path, load_settings(path), process=process)
        made._read_at = made._seen = stamp
        return made

    def current(self) -> Settings:
        """The settings in force, a change that was just made among them."""
        with self._lock:
            self._seen = stamp_of(self.path)
            if self._seen != self._read_at:
                self._read()
            return self.settings

    def look(self) -> bool:
        """Whether there are other settings in force now.

        A file that changed is read when it stayed as it is from one look to the next: while an editor writes it, the
        half of it that is there may have no mistake.
        """
        with self._lock:
            stamp = stamp_of(self.path)
            is_settled, self._seen = stamp == self._seen, stamp
            if not is_settled or stamp == self._read_at:
                return False
            before = self.settings
            self._read()
            return self.settings != before

    def _read(self) -> None:
        self._read_at = self._seen
        try:
            said = load_settings(self.path)
        except ConfigError as error:
            self.problems = tuple(str(problem) for problem in error.problems)
            # Everything to say is in the problems.
            logger.error("configuration not taken up, the old one stays: %s", "; ".join(self.problems))  # noqa: TRY400
            return
        self.problems = ()
        self.settings = settings_in_force(self._process, self.started_with, said)
        self.needs_restart = keys_at_next_start(self._process, self.started_with, said)
        logger.info("configuration read again: %d peers", len(self.settings.peers))
        if self.needs_restart:
            logger.warning("changed since the start, needs a restart: %s", ", ".join(self.needs_restart))
