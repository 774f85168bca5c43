"""A value of the configuration as TOML writes it, on one line."""

import json
from collections.abc import Mapping, Sequence

NOT_SET = "not set"
"""Stands for what has no value; TOML has no word for it."""


def toml_text(value: object) -> str:
    """The value as it would stand behind `key =`; tables are written inline, without the keys that are not set."""
    match value:
        case None:
            return NOT_SET
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return str(value)
        case Mapping():
            pairs = [f"{key} = {toml_text(one)}" for key, one in value.items() if one is not None]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        case Sequence():
            return f"[{', '.join(map(toml_text, value))}]"
        case _:
            return str(value)
