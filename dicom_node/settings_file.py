"""The settings as the file has them now: a change takes effect without a restart."""

import logging
from pathlib import Path
from threading import Lock

from config import ConfigError, load_settings
from config.settings import Settings
from dicom_node.stamps import stamp_of

logger = logging.getLogger(__name__)


class SettingsFile:
    """Reads the configuration again when its file changed; a file with mistakes changes nothing."""

    def __init__(self, path: Path | None, settings: Settings) -> None:
        """Begin with settings that are loaded.

        Args:
            path: Of the file; None where there is none.
            settings: What it says.
        """
        self.path = path
        self._settings = settings
        self._lock = Lock()
        self._stamp = stamp_of(path)
        self.problems: tuple[str, ...] = ()
        """Of the file as it is now; the settings before them stay in force."""

    def current(self) -> Settings:
        """The newest settings without mistakes."""
        with self._lock:
            stamp = stamp_of(self.path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._read()
            return self._settings

    def _read(self) -> None:
        try:
            self._settings, self.problems = load_settings(self.path), ()
        except ConfigError as error:
            self.problems = tuple(str(problem) for problem in error.problems)
            logger.error("the changed configuration is not taken up: %s", "; ".join(self.problems))  # noqa: TRY400  # said whole
