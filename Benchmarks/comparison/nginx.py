# SPDX-License-Identifier: Apache-2.0
"""nginx as a peer: what Debian's configuration says of it, cut down to one folder of files, and its processes."""

import contextlib
import grp
import os
import pwd
import socket
import tempfile
import time

from comparison import processes
from comparison.processes import Failure

# Debian's nginx.conf, but for: the number of workers, no access log, no daemon, everything in one folder, and
# connections that are not closed after 1,000 requests, since no other peer closes them.
CONFIGURATION = """
user {user} {group};
daemon off;
pid {folder}/nginx.pid;
worker_processes {workers};
events {{
    worker_connections 768;
}}
http {{
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    types {{ text/plain txt; }}
    default_type application/octet-stream;
    access_log off;
    gzip on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
    }}
}}
"""


@contextlib.contextmanager
def server(program, directory, workers, limit=10, environment=None, cores=None):
    """Serves the files of a directory. Gives (the processes' ids, the master's first; port); ends them on leaving."""
    # nginx takes no port 0, but a listening socket that it inherits, as it does from the binary that it replaces.
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        user = pwd.getpwuid(os.getuid())
        configuration = os.path.join(folder, "nginx.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(
                user=user.pw_name, group=grp.getgrgid(user.pw_gid).gr_name, folder=folder, workers=workers, port=port,
                root=directory))
        log = os.path.join(folder, "error.log")
        descriptor = listener.fileno()
        with open(log, "w", encoding="utf-8") as output:
            child = processes.start(
                [program, "-p", folder, "-c", configuration, "-e", log],
                environment=(environment or dict(os.environ)) | {"NGINX": f"{descriptor};"}, cores=cores,
                stdout=output, stderr=output, pass_fds=(descriptor,))
        try:
            workers_found = _wait_for_workers(child, workers, limit, log)
            yield [child.pid, *workers_found], port
            if child.poll() is not None:
                raise Failure(f"nginx {processes.describe_exit(child.returncode)} under the load")
        finally:
            processes.end(child)


def _wait_for_workers(child, wanted, limit, log):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and child.poll() is None:
        found = _children(child.pid)
        if len(found) == wanted:
            return found
        time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as content:
        raise Failure("nginx does not start" + processes.last_lines(content.read()))


def _children(parent):
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as content:
            # After the command's name, which may hold anything: the state, and the parent.
            if int(content.read().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(entry))
    return sorted(found)
