"""What is made of refused callers: words for people, and peers that may send from now on."""

import re
from collections.abc import Sequence

from config.settings import Settings
from dicom_node.configuring import Configuration, Edit
from dicom_node.configuring.errors import ConfiguringError
from dicom_node.listen.admission import Rejection
from storage.refused_callers import RefusedCaller

DEFAULT_PORT = 104
"""The port of DICOM (PS3.8 9.1.1); an address from which somebody called says nothing of where it listens."""


class CannotAllowError(ConfiguringError):
    """This caller cannot be let in by its AE title alone."""


def words_of(caller: RefusedCaller) -> str:
    """Why a caller was refused, and what an administrator can do."""
    known = {rejection.name: rejection.words for rejection in Rejection}
    return known.get(caller.reason, caller.reason)


def can_be_allowed(caller: RefusedCaller) -> bool:
    """Whether it was refused because nobody knows its AE title, or it may not send."""
    return caller.reason == Rejection.CALLING_AE_TITLE.name


def standing(callers: Sequence[RefusedCaller], settings: Settings) -> tuple[RefusedCaller, ...]:
    """Those that the configuration does not let in by now: it is taken up a few seconds after it was changed."""
    may_send = {peer.ae_title for peer in settings.peers if peer.may_send}
    is_open = settings.listen.accept_unknown_callers
    return tuple(
        caller for caller in callers if not (can_be_allowed(caller) and (is_open or caller.calling_aet in may_send))
    )


def allow(
    configuration: Configuration,
    callers: Sequence[RefusedCaller],
    calling_aet: str,
    *,
    by: str,
    name: str = "",
    port: int = DEFAULT_PORT,
) -> Edit:
    """Let a refused caller send: a peer of its AE title that the file has already, else a new one.

    Args:
        configuration: That is changed.
        callers: All that were refused.
        calling_aet: AE title that it calls itself.
        by: Operator.
        name: Of a new peer; empty takes one from the AE title.
        port: Where a new peer listens.

    Raises:
        CannotAllowError: Nobody called by this title, or it was refused for something else.
        ConfigError: The configuration would have problems.
        ConfiguringError: It cannot be written.
    """
    caller = _caller(callers, calling_aet)
    peers = configuration.settings().peers
    for peer in peers:
        if peer.ae_title == calling_aet:
            return configuration.change_peer(peer.name, {"may_send": True}, by=by)
    values = {
        "name": name or _free_name(calling_aet, {peer.name for peer in peers}),
        "ae_title": calling_aet,
        "host": caller.address,
        "port": port,
        "may_send": True,
    }
    comment = f"Called from {caller.address} on {caller.last_at:%Y-%m-%d} and was refused; allowed since."
    return configuration.add_peer(values, by=by, comment=comment)


def _caller(callers: Sequence[RefusedCaller], calling_aet: str) -> RefusedCaller:
    """The newest refusal of a title that allowing it would end."""
    of_title = [caller for caller in callers if caller.calling_aet == calling_aet]
    if not of_title:
        reason = f"nobody was refused as {calling_aet!r}: `dicom-node ae refused` lists who was"
        raise CannotAllowError(reason)
    allowed = [caller for caller in of_title if can_be_allowed(caller)]
    if not allowed:
        reason = f"{calling_aet!r} was refused for another reason: {words_of(of_title[0])}"
        raise CannotAllowError(reason)
    return allowed[0]


def _free_name(calling_aet: str, taken: set[str]) -> str:
    """A name of a peer made from an AE title."""
    stem = re.sub(r"[^a-z0-9._-]+", "-", calling_aet.lower()).strip("-._") or "sender"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
