"""FITS frames to JPEG thumbnails, in bounded memory.

`picture.py` tells the story; `lco.py` draws as OCS thumbnail-service did, `robust.py` better. Nothing here is
imported before a frame has to be drawn: astropy takes half a second and 40 MB.
"""
