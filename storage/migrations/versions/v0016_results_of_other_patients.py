"""Which results were made of images that an operator then put aside as another patient's."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_RESULT = sa.table(
    "result",
    sa.column("study_id", sa.Integer()),
    sa.column("created_at", sa.BigInteger()),
    sa.column("is_of_other_patient", sa.Boolean()),
)
_HISTORY = sa.table(
    "history",
    sa.column("study_id", sa.Integer()),
    sa.column("at", sa.BigInteger()),
    sa.column("event", sa.String(24)),
)


def upgrade() -> None:
    """Count every result from before a release as one: what was put aside then is not known."""
    op.add_column("result", sa.Column("is_of_other_patient", sa.Boolean(), server_default=sa.false(), nullable=False))
    released_later = sa.exists().where(
        _HISTORY.c.study_id == _RESULT.c.study_id,
        _HISTORY.c.event == "released",
        _HISTORY.c.at >= _RESULT.c.created_at,
    )
    op.execute(sa.update(_RESULT).where(released_later).values(is_of_other_patient=sa.true()))
