"""A folder as origin: for masters on a disk that the workers can read, and for the built-in samples.

`origin` opens its files, `listing` lists them, `opening` keeps both from following a link out of the folder.
"""

from mezcal.origin.folder.listing import FolderPage, Unreadable, has_image_suffix
from mezcal.origin.folder.origin import FolderOrigin

__all__ = ["FolderOrigin", "FolderPage", "Unreadable", "has_image_suffix"]
