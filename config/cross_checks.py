"""Mistakes between blocks of a configuration: two peers of one name, a name that nobody has.

They are looked for in the raw document, so that a mistake elsewhere hides none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from config.errors import Problem
from config.rules import RuleSettings
from config.secrets import shown_value, without_secrets
from config.toml_text import toml_text

_SHOWN_CHARACTERS = 80


def problems_between(document: Mapping[str, Any]) -> list[Problem]:
    """Every mistake between the blocks of a document."""
    peers = _blocks(document.get("peers"))
    return [
        *_shared(peers, "peers", "name"),
        *_shared(peers, "peers", "ae_title"),
        *_unknown_count_peers(document, peers),
        *_rule_problems(_blocks(document.get("rule")), peers),
        *_incomplete_ray_tls(document.get("ray")),
    ]


def shown(value: object, *, key: str = "") -> str:
    """The value of a key as TOML would write it, short and without a secret."""
    text = without_secrets(toml_text(shown_value(key, value)))
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


def _rule_problems(rules: Sequence[Mapping[str, Any]], peers: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Rules that share a name, send to nobody, or are never reached."""
    yield from _shared(rules, "rule", "name")
    receivers = {peer.get("name") for peer in peers if peer.get("receives_results") is True}
    catch_all = 0
    for number, rule in enumerate(rules, start=1):
        results = rule.get("results")
        for name in results if isinstance(results, dict) else ():
            if name not in receivers:
                problem = "names no [[peers]] block with receives_results = true"
                yield Problem(key=f"[rule #{number}].results", problem=problem, value=shown(name))
        if catch_all:
            problem = f"is never reached: rule #{catch_all} fits every study; put that one last"
            yield Problem(key=f"[rule #{number}]", problem=problem)
        elif _fits_everything(rule):
            catch_all = number


def _fits_everything(rule: Mapping[str, Any]) -> bool:
    try:
        return RuleSettings.model_validate(dict(rule)).fits_everything
    except ValidationError:
        return False


def _incomplete_ray_tls(table: object) -> Iterator[Problem]:
    """TLS of the cluster that lacks one of its three files."""
    names = ("tls_certificate", "tls_key", "tls_ca")
    given = [name for name in names if isinstance(table, dict) and table.get(name)]
    if given and len(given) < len(names):
        for name in names:
            if name not in given:
                yield Problem(key=f"[ray].{name}", problem=f"is missing: TLS needs {', '.join(names)}")
