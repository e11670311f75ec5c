"""What the components of a JPEG 2000 picture mean: palettes, channel definitions and the colour space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mezcal.convert.engines.decoded import CannotRead, Decoded
from mezcal.convert.jpeg2000.boxes import COLOUR, OPACITY, PREMULTIPLIED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.jpeg2000.boxes import Channel, Jp2Header
    from mezcal.convert.jpeg2000.codestream import Codestream

CMYK, CIELAB, YCC = 12, 14, frozenset({1, 3, 4, 18})  # enumerated colour spaces
GREYS, INVERTED = frozenset({0, 15, 17}), 0  # 0 is bilevel with 1 as black
PROFILE_SPACES = {b"GRAY": "grey", b"RGB ": "rgb", b"CMYK": "cmyk"}
COLOURS = {"grey": 1, "rgb": 3, "ycc": 3, "lab": 3, "cmyk": 4}
LAB_RANGES = (100, 170, 200)  # of L*, a* and b*, if the file gives none (ISO/IEC 15444-2, M.11.7.4.1)


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels that are shown, by their numbers: the colours in their order, then opacity if there is one.

    *depth* are the bits of all of them, once they are of one depth.
    """

    header: Jp2Header
    stream: Codestream
    space: str
    shown: tuple[int, ...]
    opacity: int | None
    associated: bool
    depth: int

    @classmethod
    def of(cls, header: Jp2Header, stream: Codestream) -> Channels:
        """Returns the meaning that *header* gives to the components of *stream*. Raises `CannotRead` without one."""
        depths = _depths(header, stream)
        space = _space(header, len(depths))
        if any(part.across > 1 for part in stream.components):
            space = "rgb"  # imagecodecs takes subsampled components for YCC, and converts them
        colours = COLOURS[space]
        definitions = {channel.number: channel for channel in header.channels}
        shown = _colour_channels(definitions, colours)
        opacity = _opacity(definitions, len(depths), colours)
        if max((*shown, opacity or 0)) >= len(depths):
            raise CannotRead(f"{len(depths)} channels are too few for its colour space")
        associated = opacity is not None and definitions.get(opacity, (0, 0))[1] == PREMULTIPLIED
        most = max(depths[number] for number in (*shown, *([] if opacity is None else [opacity])))
        return cls(header, stream, space, shown, opacity, associated, min(most, 16))

    def apply(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Returns the shown channels of *samples*, height x width x components, all of one depth."""
        numbers = [*self.shown, *([] if self.opacity is None else [self.opacity])]
        plain = not self.header.mapping and numbers == list(range(samples.shape[2]))
        if plain and samples.dtype.kind == "u" and self.stream.components[0].depth <= 16:
            return samples
        bands = [self._band(samples, number) for number in numbers]
        return np.stack(bands, axis=2).astype("u1" if self.depth <= 8 else "u2")

    def _band(self, samples: NDArray[Any], number: int) -> NDArray[Any]:
        """Returns channel *number*, scaled to `depth` bits."""
        component, by_palette, column = self.header.mapping[number] if self.header.mapping else (number, 0, 0)
        band = samples[..., component]
        part = self.stream.components[component]
        if part.signed:
            band = band.astype("i8") + 2 ** (part.depth - 1)
        depth = part.depth
        if by_palette and self.header.palette is not None:
            table = self.header.palette.columns[column]
            band, depth = table[np.minimum(band, len(table) - 1)], self.header.palette.depths[column]
        if depth == self.depth:
            return band
        scaled: NDArray[Any] = band.astype("u8") * (2**self.depth - 1) // (2**depth - 1)
        return scaled

    def meaning(self, image: Any, failures: list[Exception]) -> Decoded:
        """Returns *image*, which has the shown channels as its bands, as it is to be converted."""
        space = self.space
        if space == "ycc":
            image, space = _rgb_of_ycc(image, self.depth), "rgb"
        elif space == "lab":
            image = _lab(image, self.depth, self.header.parameters)
        return Decoded(
            image,
            space,
            255 if space == "lab" else 2.0**self.depth - 1,
            None if self.opacity is None else len(self.shown),
            self.associated,
            self.header.enumerated == INVERTED and self.header.profile is None,
            dpi=self.header.dpi,
            icc=self.header.profile,
            failures=failures,
        )


def _depths(header: Jp2Header, stream: Codestream) -> list[int]:
    """Returns the bits of each channel. Raises `CannotRead` if a channel is made of what is not there."""
    own = [part.depth for part in stream.components]
    if not header.mapping:
        return own
    columns = header.palette.depths if header.palette else ()
    try:
        return [columns[column] if by_palette else own[number] for number, by_palette, column in header.mapping]
    except IndexError as error:
        raise CannotRead("its palette is broken") from error


def _space(header: Jp2Header, channels: int) -> str:
    """Returns the colour space that *header* names, or that the number of channels suggests."""
    if header.profile is not None:
        space = PROFILE_SPACES.get(header.profile[16:20])
        if space is None:
            raise CannotRead("its profile is of a colour space that cannot be shown")
        return space
    known = {CMYK: "cmyk", CIELAB: "lab", **dict.fromkeys(YCC, "ycc"), **dict.fromkeys(GREYS, "grey")}
    return known.get(header.enumerated or -1, "grey" if channels < 3 else "rgb") if header.enumerated != 0 else "grey"


def _colour_channels(definitions: dict[int, Channel], colours: int) -> tuple[int, ...]:
    """Returns the channel of each colour: as the channel definitions say, else in order (I.5.3.6)."""
    places = {channel.colour: channel.number for channel in definitions.values() if channel.kind == COLOUR}
    return tuple(places.get(colour + 1, colour) for colour in range(colours))


def _opacity(definitions: dict[int, Channel], channels: int, colours: int) -> int | None:
    """Returns the channel of the opacity of the whole picture: one channel too many is one, as viewers take it."""
    if not definitions:
        return colours if channels == colours + 1 else None
    found = [channel.number for channel in definitions.values() if channel.kind in (OPACITY, PREMULTIPLIED)]
    return found[0] if found else None


def _rgb_of_ycc(image: Any, depth: int) -> Any:
    """Returns sYCC as RGB (IEC 61966-2-1, annex F)."""
    luma, blue, red = image[0], image[1] - 2 ** (depth - 1), image[2] - 2 ** (depth - 1)
    bands = [luma + red * 1.402, luma - blue * 0.344136 - red * 0.714136, luma + blue * 1.772]
    rest = [image.extract_band(3, n=image.bands - 3)] if image.bands > 3 else []
    rgb = bands[0].bandjoin(bands[1:]).rint()
    peak = 2**depth - 1
    rgb = (rgb > peak).ifthenelse(peak, rgb).cast(image.format)
    return rgb.bandjoin(rest) if rest else rgb


def _lab(image: Any, depth: int, parameters: tuple[int, ...]) -> Any:
    """Returns libvips' floats: L* from 0 to 100, a*, b*, and opacity from 0 to 255 if there is one."""
    if len(parameters) >= 6:
        ranges, offsets = parameters[0:6:2], parameters[1:6:2]
    else:
        ranges, offsets = LAB_RANGES, (0, 2 ** (depth - 1), 2 ** (depth - 2) + 2 ** (depth - 3))
    peak = 2**depth - 1
    bands = [(image[band] - offsets[band]) * (ranges[band] / peak) for band in range(3)]
    if image.bands > 3:
        bands.append(image[3] * (255 / peak))
    return bands[0].bandjoin(bands[1:]).cast("float").copy(interpretation="lab")
