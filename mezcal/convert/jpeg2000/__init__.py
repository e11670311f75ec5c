"""JPEG 2000 (ISO/IEC 15444-1): its boxes, its codestream, and the engine that decodes it a row of tiles at a time."""
