"""The command ``nisf``: a thin layer over the bundle's workflows."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from nisf.cli.grid import mesh, sample
from nisf.cli.inspect import inspect
from nisf.cli.library_warnings import library_warnings
from nisf.cli.models import doctor, evaluate, phantom, train
from nisf.cli.parser import HELP, arranged, help_of, nearest, overview
from nisf.cli.scans import cohort_run, report, segment, view
from nisf.utils.errors import InputError, sentence_of

COMMANDS = {
    "inspect": inspect,
    "segment": segment,
    "report": report,
    "view": view,
    "sample": sample,
    "mesh": mesh,
    "cohort": {"run": cohort_run},
    "train": train,
    "evaluate": evaluate,
    "phantom": phantom,
    "doctor": doctor,
}

ABOUT = (
    "nisf segments scans off the grid with neural implicit functions. Research use only, not for diagnosis. With "
    "--verbose every command shows each warning of the libraries that it uses, in place of their number."
)

#: Option of every command.
VERBOSE = "--verbose"

FIRST = "nisf segment SCAN.nii.gz -o OUT\nnisf report OUT"


#: What Ctrl-C leaves of the commands that go on when they are given again; ``train`` says it itself.
AGAIN = dict.fromkeys(("segment", "cohort"), "stopped; the same command again goes on with what is left")


def run(words: Sequence[str]) -> None:
    """Runs the command of a command line; raises what the command raises."""
    import fire

    found, name, rest = COMMANDS, [], list(words)
    while not callable(found):
        if not rest or rest[0] in HELP:
            print(overview(found, " ".join(["nisf", *name]), ABOUT, "" if name else FIRST))
            return
        if rest[0] not in found:
            raise InputError(
                f"nisf has no command {' '.join([*name, rest[0]])}{nearest(rest[0], found)}; see nisf --help"
            )
        name.append(rest.pop(0))
        found = found[name[-1]]
    if set(rest) & set(HELP):
        print(help_of(found, " ".join(name)))
        return
    fire.Fire(found, command=arranged(found, " ".join(name), rest), name=" ".join(["nisf", *name]))


def main() -> None:
    """Entry point of ``nisf``."""
    os.environ.setdefault("PAGER", "cat")  # fire shows its errors through a pager, which would stop scripts
    warnings.filterwarnings("ignore", module="monai")
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks must not end a run
        stream.reconfigure(errors="backslashreplace")
    try:
        with library_warnings(VERBOSE in sys.argv):
            run([word for word in sys.argv[1:] if word != VERBOSE])
    except KeyboardInterrupt as error:
        print(f"nisf: {error or AGAIN.get(sys.argv[1], 'stopped')}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        found = sentence_of(error)
        if found is None:
            raise
        print(f"nisf: {found}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
