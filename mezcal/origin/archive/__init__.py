"""The science archive: the frames that thumbnails are made of, and who may see them.

`client.py` sends requests to its API, with the credential of the client that asks mezcal. `frame_selection.py` selects
the frames of a thumbnail. `frame_files.py` fetches their files, in a worker, by the signed URLs of a ticket.
`shared_frames.py` shares whole files between the processes of a worker.
"""

from mezcal.origin.archive.client import ArchiveClient, FrameRecord
from mezcal.origin.archive.frame_files import FrameOrigin
from mezcal.origin.archive.frame_selection import (
    FrameFinder,
    check_suitable,
    make_recipe,
    put_together,
    select_frames,
)

__all__ = [
    "ArchiveClient",
    "FrameFinder",
    "FrameOrigin",
    "FrameRecord",
    "check_suitable",
    "make_recipe",
    "put_together",
    "select_frames",
]
