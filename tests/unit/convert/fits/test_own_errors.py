"""Errors of mezcal's own code are no fault of the frame."""

from __future__ import annotations

import pytest

from mezcal.convert.fits.read.frame import frame_errors_as_undecodable
from mezcal.errors import Undecodable


def test_a_key_that_our_own_code_lacks_is_not_told_as_a_damaged_frame() -> None:
    with pytest.raises(KeyError, match="look"), frame_errors_as_undecodable():
        exec("{}['look']", {"__name__": "mezcal.convert.fits.draw"})
    with pytest.raises(Undecodable, match="KeyError: 'NAXIS1'"), frame_errors_as_undecodable():
        exec("{}['NAXIS1']", {"__name__": "astropy.io.fits.header"})
