"""Where a domain looks, and where it looks at everything."""

from __future__ import annotations

import pytest

from domains.errors import InputError
from recipes.inputs import Sight
from recipes.looking import looking


def test_a_size_of_dust_is_refused_where_a_domain_looks_at_everything() -> None:
    with pytest.raises(InputError, match="--smallest-piece is 50 um2; the domain 'natural'"):
        looking("natural", Sight(smallest_um2=50.0))
    assert looking("natural", Sight()) is None
