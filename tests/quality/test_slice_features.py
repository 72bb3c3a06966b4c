"""Features of single slices."""

import pytest
import torch
from helpers.comparisons import SHAPE, SPACING, classes_of, comparison, probabilities

from nisf.quality.slice_features import empty_slices, slice_errors, slice_shifts


def test_a_slice_out_of_line_is_told_in_mm_and_the_others_are_not():
    shifts = [(0, 0)] * SHAPE[2]
    shifts[3] = (3, -4)  # pixels of 2 mm
    found = slice_shifts(comparison(unet=probabilities(classes_of(shifts))))
    assert found[3] == pytest.approx(5 * SPACING[0], abs=0.2)
    assert max(found[:3] + found[4:]) == pytest.approx(0, abs=1e-4)


def test_a_stack_that_lies_elsewhere_as_a_whole_has_no_slice_out_of_line():
    assert max(slice_shifts(comparison(unet=probabilities(classes_of([(4, 2)] * SHAPE[2]))))) == pytest.approx(
        0, abs=1e-4
    )


def test_a_slice_without_a_body_has_no_place():
    classes = classes_of()
    classes[:, :, 0] = 0
    classes[0, 0, 0] = 1  # one voxel far away
    assert slice_shifts(comparison(unet=probabilities(classes)))[0] == 0
    assert slice_shifts(comparison(unet=None)) == [0.0] * SHAPE[2]


def test_errors_are_of_each_slice_and_of_voxels_that_may_be_seen():
    recon = comparison().image.clone()
    recon[:, :10, :, 2] += 0.2
    assert slice_errors(comparison(recon=recon))[2] == pytest.approx(0.2 * (10 / SHAPE[0]) ** 0.5, rel=1e-4)
    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask[:10] = False
    assert max(slice_errors(comparison(recon=recon, mask=mask))) == 0


def test_slices_without_an_image_are_named_by_their_number_in_the_scan():
    image = comparison().image.clone()
    image[:, :, :, 1] = 0.3
    assert empty_slices(comparison(image=image, slices=[0, 2, 4, 6, 8, 10])) == [2]
