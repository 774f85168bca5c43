"""Several machines on one index: signs of life by machine, the folder that they share."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the table of signs of life anew, which fills within seconds, and that of the folder."""
    op.drop_table("heartbeat")
    op.create_table(
        "heartbeat",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("needs_restart", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("process", "machine", name="pk_heartbeat"),
    )
    op.create_table(
        "shared_folder",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_shared_folder"),
    )
