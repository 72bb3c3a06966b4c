"""Commands in separate processes that need not import torch and MONAI again (about 8 s each): multiprocessing's fork
server has imported them. Arguments, streams, folder and exit status are those of the command."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

_SERVER = multiprocessing.get_context("forkserver")
FORK = multiprocessing.get_context("fork")
_STARTING = threading.Lock()
_SERVER.set_forkserver_preload(["monai.bundle", "nisf.cli.main", "nisf.training.train", "nisf.cli.demo"])


def _become(words, cwd, environment, folder):
    """Does in the new process what the interpreter would do for ``words``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    os.chdir(cwd)
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    try:
        if words[1:2] == ["-m"]:
            sys.argv = words[2:]
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        else:
            from nisf.cli.main import main  # what the console script nisf calls

            sys.argv = words
            main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_command(words, cwd, timeout=300, **environment):
    """``subprocess.run(words, capture_output=True, text=True)`` for ``nisf ...`` or ``python -m MODULE ...``."""
    with started(words, cwd, timeout, **environment) as running:
        pass
    return running.done


@contextmanager
def started(words, cwd, timeout=300, method=_SERVER, **environment):
    """The same while it runs: ``process`` inside the context, ``done`` after it, which waits for the end.

    ``method=FORK`` forks the test's own process, where that has imported what the command needs.
    """
    words = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as folder:
        process = method.Process(target=_become, args=(words, str(cwd), environment, folder))
        with _STARTING:
            process.start()
        running = SimpleNamespace(process=process, done=None)
        try:
            yield running
            process.join(timeout)
            if process.is_alive():
                raise subprocess.TimeoutExpired(words, timeout)
        finally:
            process.kill()
        out, err = ((Path(folder) / name).read_text(errors="replace") for name in ("out", "err"))
    running.done = subprocess.CompletedProcess(words, process.exitcode, out, err)
