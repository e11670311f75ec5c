"""The tiled pyramidal TIFF: its levels, its tiles and its directories."""
