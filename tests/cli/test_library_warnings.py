"""What libraries warn of is one line, and all of it where it is asked for."""

import logging
import warnings

import pytest

from nisf.cli.library_warnings import library_warnings


def warn():
    for number in range(3):
        logging.getLogger("pydicom").warning("Invalid value for VR UI: '1.0%d'", number)
    warnings.warn_explicit("no unit", UserWarning, "nibabel/nifti1.py", 7, module="nibabel.nifti1")


def test_warnings_are_counted_in_one_line(capsys):
    with library_warnings():
        warn()
    said = capsys.readouterr()
    assert said.err == "4 warnings of libraries, most often: Invalid value for VR UI; --verbose shows them\n"
    assert not said.out


def test_an_error_passes_through_and_the_line_is_still_written(capsys):
    with pytest.raises(KeyError), library_warnings():
        warn()
        raise KeyError
    assert capsys.readouterr().err.startswith("4 warnings of libraries")


def test_verbose_leaves_them_as_they_are(caplog, recwarn):
    with library_warnings(verbose=True):
        warn()
    assert len(caplog.records) == 3 and len(recwarn.list) == 1
    with library_warnings():
        pass  # none, so no line
