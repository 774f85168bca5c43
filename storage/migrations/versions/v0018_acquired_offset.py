"""How far the clock of a scanner is ahead of UTC."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Of the studies so far it is not known: they are shown by UTC, as before."""
    op.add_column("study", sa.Column("acquired_offset_minutes", sa.Integer(), server_default="0", nullable=False))
