"""Characters that forge a line, or drive the terminal that shows them."""

ESCAPED_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
"""How each is written where people read it, for `str.translate`: C0, DEL and C1 controls (ECMA-48), Unicode's line ends."""
