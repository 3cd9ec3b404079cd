# SPDX-License-Identifier: Apache-2.0
"""Child processes that have a time limit and never outlive this one.

Each child leads a process group of its own, so that what it started is ended with it, and asks the kernel to be killed
when this process dies without a chance to clean up.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something that one measurement or one build ends with; its text is for the user."""


_running = set()


def stop_on_signals():
    """Makes every such signal an exception, so that each `finally` on the way out ends its children."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)


def start(command, environment=None, cores=None, directory=None, **options):
    parent = os.getpid()

    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if cores is not None:
            os.sched_setaffinity(0, cores)

    try:
        child = subprocess.Popen(
            command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=prepare, **options)
    except OSError as error:
        raise Failure(f"cannot start {command[0]}: {error.strerror}") from None
    _running.add(child)
    return child


def end(child):
    """Ends a child and everything in its group; the group is gone when this returns."""
    for number, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
            break
    # The leader may have gone before its own children did.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()
    _running.discard(child)


def end_all():
    # A second Ctrl-C must not leave half of them running.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for child in list(_running):
        end(child)


def run(command, limit, **options):
    """Runs a command to its end and returns its standard output; `limit` is in seconds."""
    child = start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    name = os.path.basename(command[0])
    try:
        output, errors = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"{name} took more than {limit:g} s") from None
    finally:
        end(child)
    if child.returncode != 0:
        raise Failure(f"{name} {describe_exit(child.returncode)}{last_lines(errors)}")
    return output


def describe_exit(code):
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def last_lines(text, count=6):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return "".join("\n    " + line for line in lines[-count:])


@contextlib.contextmanager
def server(command, limit=10, **options):
    """Starts a server and waits for its line `listening on HOST:PORT`. Gives (process id, port); ends it on leaving."""
    child = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    name = os.path.basename(command[0])
    try:
        yield child.pid, _listening_port(child, name, limit)
        if child.poll() is not None:
            raise Failure(f"{name} {describe_exit(child.returncode)} under the load")
    finally:
        end(child)


def _listening_port(child, name, limit):
    deadline = time.monotonic() + limit
    seen = b""
    while time.monotonic() < deadline:
        if not select.select([child.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            break
        chunk = os.read(child.stdout.fileno(), 4096)
        seen += chunk
        for line in seen.split(b"\n")[:-1]:
            if line.startswith(b"listening on "):
                return int(line.rsplit(b":", 1)[1])
        if not chunk:
            break
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(0.2)
    how = "is silent" if child.returncode is None else describe_exit(child.returncode)
    raise Failure(f"{name} does not say where it listens: it {how}{last_lines(seen.decode(errors='replace'))}")
