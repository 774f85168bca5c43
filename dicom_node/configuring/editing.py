"""Edits of the configuration file that keep its comments, and can be undone."""

import difflib
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tomlkit.exceptions import TOMLKitError

from config.load import document_from_text, read_text, settings_from_text
from config.secrets import without_secrets
from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.configuring.blocks import (
    block_from,
    blocks_in,
    text_with,
    text_with_blocks,
    text_with_values,
    text_without,
)
from dicom_node.configuring.errors import (
    CannotEditError,
    ChangedMeanwhileError,
    NoFileError,
    NotWritableError,
    UnknownBlockError,
)
from dicom_node.configuring.file import locked, may_replace, replace_text, sha256_of_text
from dicom_node.configuring.history import ConfigHistory, ConfigVersion

BY_HAND = "changed by hand, or by another program"

_Change = Callable[[str], str]
_Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What an edit did."""

    what: str
    """In words."""
    sha256: str
    """Of the file as it is now; hand it to the next edit to be sure that nobody else was faster."""
    version: int
    """Its number in the history; 0 where nothing changed."""
    settings: Settings
    """That hold from now on."""


class Configuration:
    """The configuration file of a node.

    Every edit is checked by the settings that the node itself reads: where there is a problem, all problems are in the
    error and nothing is written. Editors take turns; an edit changes the file as it is then, so none is lost.
    """

    def __init__(self, path: Path | None, *, clock: Clock) -> None:
        """Edit this file; a link is followed.

        Raises:
            NoFileError: There is none.
        """
        if path is None or not path.is_file():
            reason = f"there is no configuration file at {path}: `dicom-node init` writes one" if path else None
            raise NoFileError(reason)
        self.path = path.resolve()
        self._clock = clock

    def text(self) -> str:
        """The file as it is, with its secrets."""
        return read_text(self.path)

    def sha256(self) -> str:
        """Of the file as it is."""
        return sha256_of_text(self.text())

    def settings(self) -> Settings:
        """What the file says; ConfigError with every problem."""
        return settings_from_text(self.text(), name=str(self.path))

    def add_peer(
        self, values: Mapping[str, Any], *, by: str, comment: str = "", expected_sha256: str | None = None
    ) -> Edit:
        """Add a `[[peers]]` block behind the others.

        Args:
            values: Keys of `Peer` with their values, in the order in which they are to be written.
            by: Operator.
            comment: One line above the block.
            expected_sha256: Of the file that the operator looked at; None takes it as it is.

        Raises:
            ConfigError: The configuration would have problems: all of them.
            ChangedMeanwhileError: The file is another one than expected.
            ConfiguringError: It cannot be written.
        """

        def change(text: str) -> str:
            expected = document_from_text(text, name=str(self.path))
            expected["peers"] = [*expected.get("peers", []), _as_read(values)]
            new = text_with(text, "peers", block_from("peers", values, comment=comment))
            return self._checked(new, expected)

        what = f"peer {values.get('name', '')} added"
        return self._edit(change, by=by, what=what, expected_sha256=expected_sha256)

    def change_peer(
        self, name: str, changes: Mapping[str, Any], *, by: str, expected_sha256: str | None = None
    ) -> Edit:
        """Change values of a `[[peers]]` block; comments stay.

        Args:
            name: Of the peer.
            changes: Keys of `Peer`; None takes a key out, so that its default holds.
            by: Operator.
            expected_sha256: As for `add_peer`.

        Raises:
            UnknownBlockError: There is no such peer.
            ConfigError: As for `add_peer`, and the others too.
        """

        def change(text: str) -> str:
            expected = document_from_text(text, name=str(self.path))
            number = _number_of(expected, name)
            block = {**expected["peers"][number], **_as_read(changes)}
            expected["peers"][number] = {key: value for key, value in block.items() if value is not None}
            return self._checked(text_with_values(text, "peers", number, changes), expected)

        what = f"peer {name} changed: {', '.join(changes)}"
        return self._edit(change, by=by, what=what, expected_sha256=expected_sha256)

    def remove_peer(self, name: str, *, by: str, expected_sha256: str | None = None) -> Edit:
        """Take a `[[peers]]` block out, with the comment that stands directly above it.

        Raises:
            UnknownBlockError: There is no such peer.
            ConfigError: As for `add_peer`, and the others too.
        """

        def change(text: str) -> str:
            expected = document_from_text(text, name=str(self.path))
            number = _number_of(expected, name)
            del expected["peers"][number]
            return self._checked(_without_block(text, "peers", number), expected)

        return self._edit(change, by=by, what=f"peer {name} removed", expected_sha256=expected_sha256)

    def replace_blocks(self, array: str, blocks: str, *, by: str, expected_sha256: str | None = None) -> Edit:
        """Put other blocks, with their comments, in the place of those of an array.

        Args:
            array: Name of the array of tables.
            blocks: TOML of its blocks alone.
            by: Operator.
            expected_sha256: As for `add_peer`.

        Raises:
            ConfigError: As for `add_peer`, and the others too.
        """

        def change(text: str) -> str:
            expected = document_from_text(text, name=str(self.path))
            expected[array] = document_from_text(blocks, name=f"[[{array}]]").get(array, [])
            return self._checked(text_with_blocks(text, array, blocks), expected)

        return self._edit(change, by=by, what=f"[[{array}]] replaced", expected_sha256=expected_sha256)

    def history(self) -> tuple[ConfigVersion, ...]:
        """Every version that is kept, the newest first; a change by hand joins it with the next edit."""
        return self._history().versions(current_text=self.text())

    def difference(self, older: int, newer: int | None = None) -> str:
        """What two versions differ in, as a unified diff without secrets.

        Args:
            older: Number of a version.
            newer: The same; None is the file as it is.

        Raises:
            UnknownVersionError: The history has no such version.
        """
        history = self._history()
        before = history.text_of(older)
        after = self.text() if newer is None else history.text_of(newer)
        names = (f"version {older}", "the file now" if newer is None else f"version {newer}")
        old, new = (without_secrets(text).splitlines() for text in (before, after))
        lines = list(difflib.unified_diff(old, new, *names, lineterm=""))
        if not lines and before != after:
            lines = ["a secret or a line end differs, which is not shown"]
        return "".join(f"{line}\n" for line in lines)

    def restore(self, number: int, *, by: str, expected_sha256: str | None = None) -> Edit:
        """Make the file as it was; the version that it had until now is kept, so that this can be undone too.

        Raises:
            UnknownVersionError: The history has no such version.
            ConfigError: This version of the node does not take that file.
        """
        text = self._history().text_of(number)

        def change(_: str) -> str:
            settings_from_text(text, name=f"version {number}")
            return text

        return self._edit(change, by=by, what=f"version {number} restored", expected_sha256=expected_sha256)

    def _edit(self, change: _Change, *, by: str, what: str, expected_sha256: str | None) -> Edit:
        """Change the file under its lock; the history has it before and after, and has both before the file changes."""
        with locked(self.path):
            before = self.text()
            if expected_sha256 not in {None, sha256_of_text(before)}:
                raise ChangedMeanwhileError
            try:
                after = change(before)
            except TOMLKitError as error:
                raise CannotEditError from error
            settings = settings_from_text(after, name=str(self.path))
            history = self._history(before, otherwise=settings)
            history.keep(before, at=_written_at(self.path), by="", what=BY_HAND)
            version = None
            if after != before:
                version = history.keep(after, at=self._clock.now(), by=by, what=what)
                self._replace(after, history, version)
        return Edit(
            what=what, sha256=sha256_of_text(after), version=version.number if version else 0, settings=settings
        )

    def is_writable(self) -> bool:
        """Whether this user may edit the file, as far as that can be said before it is done."""
        return may_replace(self.path) and self._history().is_writable()

    def _replace(self, text: str, history: ConfigHistory, version: ConfigVersion | None) -> None:
        """Put the text of a version in force; one that cannot be is taken out of the history again."""
        try:
            replace_text(self.path, text)
        except NotWritableError:
            if version and self.text() != text:
                history.take_out(version.number)
            raise

    def _checked(self, text: str, expected: _Document) -> str:
        """The text, once it is sure that it says what it should: no comment or string led the edit astray."""
        settings_from_text(text, name=str(self.path))
        wanted = {key: value for key, value in expected.items() if value != []}
        said = document_from_text(text, name=str(self.path))
        if {key: value for key, value in said.items() if value != []} != wanted:
            raise CannotEditError
        return text

    def _history(self, text: str | None = None, *, otherwise: Settings | None = None) -> ConfigHistory:
        """The history in the data folder that the file names."""
        document = document_from_text(self.text() if text is None else text, name=str(self.path))
        said = document.get("node")
        node: _Document = said if isinstance(said, dict) else {}
        named, fallback = node.get("data_dir"), (otherwise or Settings()).data_dir
        folder = Path(named) if isinstance(named, str) and Path(named).is_absolute() else fallback
        return ConfigHistory(folder, machine=_machine_of(document, node))


def _machine_of(document: _Document, node: Mapping[str, Any]) -> str:
    """Whose file it is among those that share the data folder, as `Settings.machine` has it."""
    storage = document.get("storage")
    is_shared = isinstance(storage, dict) and storage.get("shared") is True
    return str(node.get("machine") or socket.gethostname()) if is_shared else ""


def _without_block(text: str, array: str, number: int) -> str:
    blocks = blocks_in(text, array)
    if number >= len(blocks):
        raise CannotEditError
    return text_without(text, blocks[number])


def _number_of(document: _Document, name: str) -> int:
    """Position of a peer among the blocks, from 0."""
    peers = document.get("peers", [])
    names = [peer.get("name") for peer in peers if isinstance(peer, dict)] if isinstance(peers, list) else []
    if name in names:
        return names.index(name)
    known = ", ".join(str(one) for one in names) or "none"
    reason = f"the configuration has no peer {name}; it has: {known}"
    raise UnknownBlockError(reason)


def _as_read(values: Mapping[str, Any]) -> _Document:
    """The values as TOML gives them back."""
    return {key: _read_back(value) for key, value in values.items()}


def _read_back(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _as_read(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_read_back(part) for part in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
