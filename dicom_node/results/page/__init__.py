"""The report for people: one page, drawn."""
