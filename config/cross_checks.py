"""Mistakes between blocks of a configuration: two peers of one name, a name that nobody has.

They are looked for in the raw document, so that a mistake elsewhere hides none.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from config.errors import Problem

_SHOWN_CHARACTERS = 80
# The password in the authority of a URL (RFC 3986 3.2.1).
_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


def problems_between(document: Mapping[str, Any]) -> list[Problem]:
    """Every mistake between the blocks of a document."""
    peers = _blocks(document.get("peers"))
    return [
        *_shared(peers, "peers", "name"),
        *_shared(peers, "peers", "ae_title"),
        *_unknown_count_peers(document, peers),
        *_incomplete_ray_tls(document.get("ray")),
    ]


def shown(value: object) -> str:
    """The value as TOML would write it, short and without a password."""
    text = json.dumps(value, default=str)
    text = _PASSWORD.sub(r"\1:***@", text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _blocks(value: object) -> list[dict[str, Any]]:
    return [block for block in value if isinstance(block, dict)] if isinstance(value, list) else []


def _shared(blocks: Sequence[Mapping[str, Any]], table: str, key: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for position, block in enumerate(blocks, start=1):
        value = block.get(key)
        if not isinstance(value, str) or not value.strip():
            continue
        first = seen.setdefault(value.strip(), position)
        if first != position:
            problem = f"is also that of {table.removesuffix('s')} #{first}"
            yield Problem(key=f"[{table} #{position}].{key}", problem=problem, value=shown(value))


def _unknown_count_peers(document: Mapping[str, Any], peers: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Peers that are to be asked and are not there."""
    names = {peer.get("name") for peer in peers if isinstance(peer.get("name"), str)}
    places = {"[completeness]": document.get("completeness")}
    places |= {f"[peers #{number}].completeness": peer.get("completeness") for number, peer in enumerate(peers, 1)}
    for place, table in places.items():
        asked = table.get("count_peer") if isinstance(table, dict) else None
        if isinstance(asked, str) and asked and asked not in names:
            yield Problem(key=f"{place}.count_peer", problem="is not the name of a [[peers]] block", value=shown(asked))


def _incomplete_ray_tls(table: object) -> Iterator[Problem]:
    """TLS of the cluster that lacks one of its three files."""
    names = ("tls_certificate", "tls_key", "tls_ca")
    given = [name for name in names if isinstance(table, dict) and table.get(name)]
    if given and len(given) < len(names):
        for name in names:
            if name not in given:
                yield Problem(key=f"[ray].{name}", problem=f"is missing: TLS needs {', '.join(names)}")
