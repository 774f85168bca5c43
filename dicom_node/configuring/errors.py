"""Why a configuration file is not edited; nothing is written then.

NodeError
└── ConfiguringError
    ├── NoFileError            there is no file to edit
    ├── NotWritableError       the file or its folder belongs to somebody else
    ├── ChangedMeanwhileError  somebody else changed the file since it was shown
    ├── CannotEditError        the file is written in a way that cannot be edited without harm to it
    ├── UnknownBlockError      the file has no such peer
    └── UnknownVersionError    the history has no such version
"""

from dicom_node.errors import NodeError


class ConfiguringError(NodeError):
    """The configuration was not changed."""


class NoFileError(ConfiguringError):
    """There is no configuration file; `dicom-node init` writes one, `--config` names one that is elsewhere."""


class NotWritableError(ConfiguringError):
    """The configuration file cannot be written by this user; nothing was changed."""


class ChangedMeanwhileError(ConfiguringError):
    """Somebody else changed the configuration in the meantime; look at it again, then repeat the change."""

    retryable = True


class CannotEditError(ConfiguringError):
    """The file is written in a way that is not edited here without harm; change it by hand, nothing was written."""


class UnknownBlockError(ConfiguringError):
    """The configuration has no such peer."""


class UnknownVersionError(ConfiguringError):
    """The history has no version of this number; `dicom-node config history` shows them."""
