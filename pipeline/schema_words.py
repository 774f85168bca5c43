"""What is wrong with a value that a schema refused, in plain words."""

from typing import Final

from pydantic_core import ErrorDetails

# Error types of pydantic (docs.pydantic.dev, "Validation Errors") in plain words.
_WORDS: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not known to this version",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "multiple_of": "must be a multiple of {multiple_of:g}",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list",
    "too_long": "must have {max_length} items",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "dataclass_type": "must be a table",
    "path_type": "must be text",
    "value_error": "{error}",
}


def problem_in_words(error: ErrorDetails) -> str:
    """`must be at most 1 (got 3)`; the value only where it is one."""
    words = _WORDS.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    shown = isinstance(error["input"], str | int | float) and error["type"] not in {"missing", "extra_forbidden"}
    return f"{words} (got {error['input']!r})" if shown else words
