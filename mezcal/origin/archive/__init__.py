"""The science archive: whose frames thumbnails are made of, and who may see them.

`client.py` asks its API, always with the credential of whoever asks us; `choice.py` says which frames a thumbnail is
made of; `files.py` fetches them, in a worker, by the signed URLs of a ticket.
"""

from mezcal.origin.archive.client import Archive, FrameRecord
from mezcal.origin.archive.frame_files import FrameOrigin
from mezcal.origin.archive.frame_selection import chosen, fit, recipe_of

__all__ = ["Archive", "FrameOrigin", "FrameRecord", "chosen", "fit", "recipe_of"]
