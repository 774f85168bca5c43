"""What an administrator typed about a peer, as keys of its `[[peers]]` block."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tomlkit
from fastapi import Form

from config.assigned import text_from_value
from config.errors import ConfigError, Problem
from config.load import document_from_text
from config.names import port_from
from config.settings import Peer

SWITCHES = ("may_send", "receives_results", "tls")
_TYPED = ("ae_title", "host", "port")
_FURTHER = "further keys"
_LONGEST = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerForm:
    """One form, as it was sent."""

    name: str = ""
    ae_title: str = ""
    host: str = ""
    port: str = ""
    switches: tuple[str, ...] = ("may_send",)
    """Which of SWITCHES are on."""
    more: str = ""
    """Further keys as in the file, one a line."""

    def values(self) -> dict[str, Any]:
        """Every key of the block.

        Raises:
            ConfigError: The further keys cannot be read; what is wrong with values, the settings say.
        """
        port = port_from(self.port)
        typed = {"ae_title": self.ae_title, "host": self.host, "port": self.port if port is None else port}
        switches = {key: key in self.switches for key in SWITCHES}
        return {**typed, **switches, **self._further()}

    def _further(self) -> dict[str, Any]:
        try:
            return document_from_text(self.more, name=_FURTHER)
        except ConfigError as error:
            why = "; ".join(problem.problem for problem in error.problems)
            problem = f"is not written as in node.toml, one `key = value` a line: it {why}"
            raise ConfigError([Problem(key=_FURTHER, problem=problem)]) from error


def form_sent(
    ae_title: Annotated[str, Form()] = "",
    host: Annotated[str, Form()] = "",
    port: Annotated[str, Form()] = "",
    switch: Annotated[list[str] | None, Form()] = None,
    more: Annotated[str, Form()] = "",
    new_name: Annotated[str, Form()] = "",
) -> PeerForm:
    """The form that came with a request."""
    return PeerForm(
        name=new_name.strip(),
        ae_title=ae_title.strip(),
        host=host.strip(),
        port=port.strip(),
        switches=tuple(switch or ()),
        more=more[:_LONGEST].replace("\r\n", "\n"),
    )


def form_of(peer: Peer, block: Mapping[str, Any]) -> PeerForm:
    """The form with what the file says now."""
    further = {key: value for key, value in block.items() if key not in {"name", *_TYPED, *SWITCHES}}
    return PeerForm(
        name=peer.name,
        ae_title=peer.ae_title,
        host=peer.host,
        port=str(peer.port),
        switches=tuple(key for key in SWITCHES if getattr(peer, key)),
        more=tomlkit.dumps(further).strip(),
    )


def changes_from(form: PeerForm, peer: Peer, block: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that the form has otherwise than the file; None for one that is no longer there. ConfigError as `values`."""
    values = form.values()
    said = {key: block.get(key, getattr(peer, key, None)) for key in values}
    changed = {key: value for key, value in values.items() if value != said[key]}
    gone = block.keys() - values.keys() - {"name"}
    return changed | dict.fromkeys(sorted(gone))


def command_for(path: Path, *words: str, values: Mapping[str, Any] | None = None) -> str:
    """The command that does the same, for who may write the file."""
    assignments = [f"{key}={text_from_value(value)}" for key, value in (values or {}).items()]
    return "sudo " + shlex.join(["dicom-node", "--config", str(path), "ae", *words, *assignments])
