"""Alembic's entry: runs the migrations on the connection that `migrate` hands over, in its transaction."""

from alembic import context

from storage.account_models import Account
from storage.batch_models import Batch
from storage.link_models import PatientMerge
from storage.removal_models import Removal
from storage.shared_models import SharedFolder

TABLES = (Account, Batch, PatientMerge, Removal, SharedFolder)
"""One of each module that nothing else loads; those of storage.models are in the same metadata."""

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=TABLES[0].metadata,
    # SQLite can roll back a change of tables; with our own BEGIN it does.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
