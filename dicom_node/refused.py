"""Refused callers, as an administrator reads of them and lets them in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from config.settings import Peer, Settings
from dicom_node.configuring import Configuration, Edit
from dicom_node.errors import NodeError
from dicom_node.listen.admission import Rejection
from storage.refused_callers import RefusalKey, RefusedCaller

GUESSED_PORT = 104
"""Who only sends is never called; the port is asked for by the configuration all the same (104: PS3.8 9.1.1)."""
_CAN_BE_ALLOWED = Rejection.CALLING_AE_TITLE.name.lower()


class NotAllowableError(NodeError):
    """This caller cannot be let in so: `dicom-node ae refused` shows who was refused, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLine:
    """One line of `ae refused --json`."""

    calling_aet: str
    called_aet: str
    address: str
    reason: str
    """Why, and what an administrator can do."""
    can_be_allowed: bool
    """Whether `ae allow` lets it in."""
    first_at: datetime
    last_at: datetime
    count: int


def refused_lines(settings: Settings, refused: Iterable[RefusedCaller]) -> tuple[RefusedLine, ...]:
    """Who was refused, without those that were let in since; in the order given."""
    return tuple(_line(one) for one in refused if not _is_let_in(settings, one.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Whom to let in."""

    calling_aet: str
    address: str = ""
    """Of several that called under this title; empty: the newest."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the block that the administrator knows better, for instance `port`, `name`."""


def allow(configuration: Configuration, refused: Iterable[RefusedCaller], welcome: Welcome, *, by: str) -> Edit:
    """Let a caller in that was refused: a `[[peers]]` block with the address that it called from.

    Args:
        configuration: That gets the block; a peer of this title that may not send, may from now on.
        refused: Who was, the newest first.
        welcome: Whom.
        by: Operator.

    Raises:
        NotAllowableError: Nobody of this title was refused for want of a block.
        ConfigError: The configuration would have problems: all of them.
        ConfiguringError: It cannot be written.
    """
    title, values = welcome.calling_aet, welcome.values
    wanted = [one for one in refused if one.key.calling_aet == title and welcome.address in {"", one.key.address}]
    chosen = next((one for one in wanted if one.key.reason == _CAN_BE_ALLOWED), None)
    if chosen is None:
        raise NotAllowableError(_why_not(title, wanted))
    peers = configuration.settings().peers
    known = next((peer for peer in peers if peer.ae_title == title), None)
    if known:
        return configuration.change_peer(known.name, {"may_send": True, **values}, by=by)
    where = {"host": chosen.key.address, "port": GUESSED_PORT}
    block = {"name": name_from(title, peers), "ae_title": title, **where, **values}
    guessed = "" if "port" in values else "; the port is a guess"
    return configuration.add_peer(block, by=by, comment=f"Let in after it was refused{guessed}.")


def name_from(title: str, peers: Iterable[Peer]) -> str:
    """A name that no peer has yet."""
    taken = {peer.name for peer in peers}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-._").lower() or "caller"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(one for one in names if one not in taken)


def reason_in_words(reason: str) -> str:
    """Why, and what an administrator can do."""
    return Rejection[reason.upper()].words if reason.upper() in Rejection.__members__ else reason


def _line(one: RefusedCaller) -> RefusedLine:
    key = one.key
    return RefusedLine(
        calling_aet=key.calling_aet,
        called_aet=key.called_aet,
        address=key.address,
        reason=reason_in_words(key.reason),
        can_be_allowed=key.reason == _CAN_BE_ALLOWED,
        first_at=one.first_at,
        last_at=one.last_at,
        count=one.count,
    )


def _is_let_in(settings: Settings, key: RefusalKey) -> bool:
    return key.reason == _CAN_BE_ALLOWED and key.calling_aet in {peer.ae_title for peer in settings.senders}


def _why_not(title: str, refused: list[RefusedCaller]) -> str:
    if not refused:
        return (
            f"no {title} was refused lately: `dicom-node ae refused` shows who was; `dicom-node ae add` adds any peer"
        )
    return f"{title} was refused for another reason: {reason_in_words(refused[0].key.reason)}"
