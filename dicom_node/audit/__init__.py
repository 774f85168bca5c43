"""The audit trail of PS3.15 A.5: who did what with whose data."""
