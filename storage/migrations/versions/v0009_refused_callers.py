"""Who was refused an association; what of the configuration waits for a restart of a process."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the table, and the column beside the signs of life."""
    op.create_table(
        "refused_caller",
        sa.Column("calling_aet", sa.Text(), nullable=False),
        sa.Column("called_aet", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("calling_aet", "called_aet", "address", "reason", name="pk_refused_caller"),
    )
    op.add_column("heartbeat", sa.Column("needs_restart", sa.Text(), nullable=False, server_default=sa.text("''")))
