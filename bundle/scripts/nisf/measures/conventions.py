"""How a volume is counted; ``measures.json`` names the convention of each number.

Experts draw in slices and add them up; a heart does not end with a slice. Both are true volumes of different things.
"""

from __future__ import annotations

#: How a volume is counted.
SLICES, WHOLE_HEART = "slices", "whole heart"

#: What ``measures.json`` says about them.
TEXTS = {
    SLICES: (
        "as experts count: the area in each slice times the slice distance, added up, nothing beyond the first and the "
        "last slice; papillary muscles count to the cavity"
    ),
    WHOLE_HEART: (
        "what the fitted function encloses in space, up to one slice distance beyond the stack; experts' slice sums "
        "differ from it"
    ),
}
