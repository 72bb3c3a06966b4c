"""Quality features of a good fit."""

SLICES = {"number": [0, 1, 2, 3], "error": [0.1] * 4, "shift_mm": [1.0] * 4, "empty": []}

GOOD = {
    "volume": 250.0,
    "upside_down": -0.5,
    "contrast": 0.4,
    "disagreement": 0.1,
    "slice_shift": 1.0,
    "noise": 0.03,
    "prior_distance": 0.8,
    "slice_error": 0.1,
    "roughness": 0.01,
    "base_cut": 0.0,
    "apex_cut": 0.0,
}
