"""How a user's error reaches the terminal."""

import subprocess
import sys

PROGRAM = """
from nisf.utils.errors import InputError, plain_errors
plain_errors()
try:
    raise {inner}
except Exception as error:
    raise RuntimeError("wrapped") from error
"""


def ending(inner: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(inner=inner)], capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def test_a_wrapped_input_error_ends_with_its_sentence_alone():
    assert ending('InputError("a.nii.gz: is empty; copy it anew")') == "error: a.nii.gz: is empty; copy it anew\n"


def test_other_errors_keep_their_traceback():
    assert "Traceback" in ending('KeyError("x")') and "wrapped" in ending('KeyError("x")')
