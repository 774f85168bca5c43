"""The settings as the file has them now: a change takes effect without a restart."""

import logging
import time
from pathlib import Path
from threading import Lock

from config import ConfigError, load_settings
from config.settings import Settings
from dicom_node.stamps import Stamp, stamp_of

logger = logging.getLogger(__name__)

_SETTLED_AFTER_NS = 1_000_000_000


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

    def current(self, *, is_settled: bool = False) -> Settings:
        """The newest settings without mistakes.

        Args:
            is_settled: Leave a file alone that was written less than a second ago: an editor may not be done with it,
                and half of a file may look like a whole one with fewer peers.
        """
        with self._lock:
            stamp = stamp_of(self.path)
            if stamp != self._stamp and not (is_settled and _is_fresh(stamp)):
                self._stamp = stamp
                self._read()
            return self._settings

    def _read(self) -> None:
        try:
            self._settings, self.problems = load_settings(self.path), ()
        except ConfigError as error:
            self.problems = tuple(str(problem) for problem in error.problems)
            logger.error("the changed configuration is not taken up: %s", "; ".join(self.problems))  # noqa: TRY400  # said whole


def _is_fresh(stamp: Stamp | None) -> bool:
    """Whether a file was just written, or is gone for the moment; a clock that was set back makes no file fresh."""
    return stamp is None or 0 <= time.time_ns() - stamp[0] < _SETTLED_AFTER_NS
