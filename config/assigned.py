"""A value of the configuration as `key=value` on a command line has it."""

from typing import Any

from config.errors import ConfigError
from config.load import document_from_text
from config.toml_text import toml_text


def value_from_text(text: str) -> Any:
    """The value as TOML reads it, anything else as text; None for nothing."""
    text = text.strip()
    if not text:
        return None
    try:
        return document_from_text(f"value = {text}", name="value")["value"]
    except ConfigError:
        return text


def text_from_value(value: object) -> str:
    """The text from which `value_from_text` makes this value again; only as long as it must be."""
    if value is None:
        return ""
    return value if isinstance(value, str) and value_from_text(value) == value else toml_text(value)
