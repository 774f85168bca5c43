"""Text that spreadsheet programs show as it is."""

_MARK = "'"
"""Before a text: what follows is no formula."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with in one program or another (CWE-1236, OWASP: CSV Injection)."""


def spreadsheet_value(value: object) -> object:
    """The value for a cell of a CSV file: a text that would be read as a formula gets a mark, a number stays one."""
    return f"{_MARK}{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
