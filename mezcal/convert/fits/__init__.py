"""FITS frames to JPEG thumbnails, in bounded memory.

`thumbnail.py` shows the whole way. `draw/lco.py` draws as OCS thumbnail-service does, `draw/robust.py` better. This
package is imported when the first frame is drawn: astropy takes half a second and 40 MB.
"""
