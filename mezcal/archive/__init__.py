"""The science archive: whose frames thumbnails are made of, and who may see them.

`client.py` asks its API, always with the credential of whoever asks us; `choice.py` says which frames a thumbnail is
made of; `files.py` fetches them, in a worker, by the signed URLs of a ticket.
"""

from mezcal.archive.choice import chosen, fit, recipe_of
from mezcal.archive.client import Archive, FrameRecord
from mezcal.archive.files import FrameOrigin

__all__ = ["Archive", "FrameOrigin", "FrameRecord", "chosen", "fit", "recipe_of"]
