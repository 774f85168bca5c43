"""Table of files that are to be removed from the disk."""

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import UtcInstant
from storage.models import Base


class Removal(Base):
    """A file or folder whose rows are gone; it is removed next, also after a crash."""

    __tablename__ = "removal"

    path: Mapped[str] = mapped_column(Text, primary_key=True)
    """Below the data folder."""
    inode: Mapped[int] = mapped_column(BigInteger)
    """Of the file that is meant: the same bytes may arrive again meanwhile, as another file under the same name."""
    at: Mapped[datetime] = mapped_column(UtcInstant)
    """Not before."""
