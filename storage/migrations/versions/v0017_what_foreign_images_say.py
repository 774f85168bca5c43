"""Accession number and description that images say which name another patient than their study."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the columns; what images said that are here already is not known."""
    for name in ("accession_number", "description"):
        op.add_column("foreign_patient", sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False))
