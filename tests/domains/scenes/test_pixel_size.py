"""Sizes of pixels, as users type them and as files say them."""

from __future__ import annotations

import pytest

from domains.errors import InputError
from domains.scenes.pixel_size import from_aperio, from_ome_xml, ome_channels, parse_pixel_size

PIXELS = '<Pixels PhysicalSizeX="{x}" PhysicalSizeY="0.5"><Channel Name="DAPI"/></Pixels>'
OME = f'<OME xmlns="a"><Image Name="b">{PIXELS}</Image></OME>'


@pytest.mark.parametrize("text, size_m", [("0.25", 0.25e-6), ("250 nm", 250e-9), ("10m", 10.0), ("0.5µm", 0.5e-6)])
def test_a_size_is_in_micrometres_or_as_its_unit_says(text, size_m):
    assert parse_pixel_size(text) == pytest.approx(size_m)


@pytest.mark.parametrize("text", ["", "1.2.3", "0", "-1", "nan", "5 px", "1e999"])
def test_what_is_no_size_is_refused_in_a_line(text):
    with pytest.raises(InputError, match=f"--pixel-size is {text!r}; wanted micrometres, such as 0.25"):
        parse_pixel_size(text)


def test_ome_xml_says_a_size_and_its_channels():
    assert from_ome_xml(OME.format(x="0.5"))[0] == pytest.approx(0.5e-6)
    assert ome_channels(OME.format(x="0.5")) == ("DAPI",)


@pytest.mark.parametrize("xml", ["<OME>", "", "<!DOCTYPE a><OME/>", "<OME/>", OME.format(x="wide"), OME.format(x="-1")])
def test_xml_that_is_damaged_or_could_grow_says_none(xml):
    assert from_ome_xml(xml) == (None, ())


def test_a_size_of_a_slide_that_is_no_number_is_none():
    assert from_aperio("Aperio|MPP = 0.4990") == pytest.approx(0.499e-6)
    assert from_aperio("Aperio|MPP = 0.49.90") is from_aperio("Aperio|MPP = 0.0") is None
