# SPDX-License-Identifier: Apache-2.0
"""What is run, for whom, which figures of it count, and what they must reach."""

import contextlib
import dataclasses
import json
import os
import tempfile

from comparison import build, nginx, processes
from comparison.processes import Failure

PEERS = {"apus": "Apus", "go": "Go", "nio": "SwiftNIO", "hummingbird": "Hummingbird", "c": "C, raw epoll",
         "nginx": "nginx"}

KIB = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """One row of the table: a figure of a benchmark's JSON, the smaller the better unless `informative`."""

    name: str
    field: str
    unit: str
    divisor: float = 1
    ratios: dict = dataclasses.field(default_factory=dict)  # peer -> what Apus may at most be of it
    at_most: float | None = None  # in `unit`
    below: float | None = None
    informative: bool = False  # shown, with no target

    def value(self, output):
        if self.field not in output:
            raise Failure(f"its output has no {self.field}")
        return output[self.field] / self.divisor


@dataclasses.dataclass(frozen=True, eq=False)
class Settings:
    sample_seconds: float = 0.4
    actors: int = 1_000_000
    goroutines: int = 1_000_000
    timers: int = 1_000_000
    idle_connections: int = 10_000
    warmup_seconds: float = 1
    load_seconds: float = 4
    # How long connections have done nothing before the server's memory is read: what gives back late, or when its
    # collector runs next, has had the time.
    settling_seconds: float = 4


QUICK = Settings(sample_seconds=0.1, actors=100_000, goroutines=100_000, timers=100_000, idle_connections=1000,
                 warmup_seconds=0.3, load_seconds=1, settling_seconds=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Cores:
    """Where the programs run: None leaves that to the kernel."""

    program: set | None
    client: set | None

    @staticmethod
    def placed(processors):
        cores = sorted(os.sched_getaffinity(0))
        if processors > 1:
            return Cores(None, None)
        # One processor means one core: without the pin a runtime's helper threads would get a second one for nothing,
        # and the client its own, so that it does not take from the server what is measured.
        return Cores({cores[0]}, {cores[1]} if len(cores) > 1 else None)


def environment(processors):
    """The same processors for every runtime, and no setting of the caller's that would favour one of them."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("GO", "APUS_", "NIO_", "MALLOC_", "LD_PRELOAD"))}
    return kept | {"GOMAXPROCS": str(processors), "APUS_WORKERS": str(processors)}


def last_json_lines(output):
    lines = {}
    for line in output.splitlines():
        try:
            parsed = json.loads(line)
        except ValueError:
            raise Failure(f"not a line of JSON: {line[:80]}") from None
        lines[parsed.get("name", "")] = parsed
    if not lines:
        raise Failure("it printed nothing")
    return lines


@dataclasses.dataclass(frozen=True, eq=False)
class Micro:
    """A subcommand of apus-bench and go-micro. `lines` are the names of the JSON lines that it prints."""

    name: str
    measures: tuple
    bytes_per_goroutine: int = 0  # what must be free for each of Settings.goroutines, with room to spare
    limit: float = 60
    peers: tuple = ("apus", "go")

    def programs(self):
        return {"apus": "apus-bench", "go": "go-micro"}

    def run(self, peer, processors, settings):
        needed = self.bytes_per_goroutine * settings.goroutines
        if needed > available_memory():
            raise Failure(f"needs {needed / KIB**3:.1f} GiB of free memory")
        command = [
            build.PATHS[self.programs()[peer]], "--seconds", str(settings.sample_seconds),
            "--actors", str(settings.actors), "--goroutines", str(settings.goroutines),
            "--timers", str(settings.timers), self.name,
        ]
        output = processes.run(command, self.limit, environment=environment(processors),
                               cores=Cores.placed(processors).program)
        lines = last_json_lines(output)
        # One benchmark's figures side by side, those of a further line under that line's name.
        figures = dict(lines[self.name]) if self.name in lines else {}
        for name, line in lines.items():
            if name != self.name:
                figures |= {f"{name}.{key}": value for key, value in line.items()}
        return figures


@dataclasses.dataclass(frozen=True, eq=False)
class Allocations:
    """Calls of malloc for each operation of a kind: always the same, so no time and no peer is needed."""

    name: str
    measures: tuple
    peers: tuple = ("apus",)

    def programs(self):
        return {"apus": "apus-allocations"}

    def run(self, peer, processors, settings):
        output = processes.run([build.PATHS[self.programs()[peer]]], 60, environment=environment(processors),
                               cores=Cores.placed(processors).program)
        return last_json_lines(output)[self.name]


@dataclasses.dataclass(frozen=True, eq=False)
class Lateness:
    """Sleeps of several lengths. The programs print a table, a line for each; a figure is named by length and column."""

    name: str
    measures: tuple
    peers: tuple = ("apus", "go")

    COLUMNS = ("asked", "sleeps", "least", "median", "p90", "p99", "most", "cpu")

    def programs(self):
        return {"apus": "apus-lateness", "go": "go-lateness"}

    def run(self, peer, processors, settings):
        command = [build.PATHS[self.programs()[peer]], str(settings.sample_seconds)]
        output = processes.run(command, 120, environment=environment(processors),
                               cores=Cores.placed(processors).program)
        figures = {}
        for line in output.splitlines()[1:]:
            cells = line.split()
            if len(cells) != len(self.COLUMNS):
                raise Failure(f"not a line of the table: {line[:80]}")
            figures |= {f"{float(cells[0]):g}.{column}": float(cell) for column, cell in zip(self.COLUMNS, cells)}
        return figures


def server_command(program, peer, processors, *options):
    """The other peers take the number of processors from their environment."""
    threads = ["--threads", str(processors)] if peer in ("nio", "hummingbird", "c") else []
    return [build.PATHS[program], "--port", "0", *threads, *options]


def run_load(client, servers, port, options, settings, processors):
    """Runs a load generator against a server of one or more processes, and returns its figures."""
    command = [build.PATHS[client], "--port", str(port), "--warmup", str(settings.warmup_seconds), *options]
    for process in servers:
        command += ["--server-pid", str(process)]
    limit = settings.warmup_seconds + settings.load_seconds + settings.settling_seconds + 60
    figures = json.loads(processes.run(command, limit, cores=Cores.placed(processors).client))
    if figures["errors"] > 0:
        raise Failure(f"{figures['errors']} of its answers were wrong, or did not come")
    if figures.get("requests") == 0:
        raise Failure("it answered nothing")
    return figures


@dataclasses.dataclass(frozen=True, eq=False)
class Echo:
    """An echo server under load, or with connections that do nothing."""

    name: str
    measures: tuple
    connections: int = 0
    idle: bool = False
    peers: tuple = ("apus", "go", "nio", "c")
    client = "load"

    def programs(self):
        return {"apus": "apus-echo", "go": "go-echo", "nio": "nio-echo", "c": "epoll-echo"}

    def run(self, peer, processors, settings):
        command = server_command(self.programs()[peer], peer, processors)
        with processes.server(command, environment=environment(processors),
                              cores=Cores.placed(processors).program) as (process, port):
            options = ["--size", "64"]
            if self.idle:
                options += ["--idle", str(settings.idle_connections), "--seconds", "1"]
            else:
                options += ["--connections", str(self.connections), "--seconds", str(settings.load_seconds)]
            return run_load(self.client, [process], port, options, settings, processors)


@dataclasses.dataclass(frozen=True, eq=False)
class Http:
    """A server that answers `GET /` with `Hello, World!`, under load or with connections that do nothing any more."""

    name: str
    measures: tuple
    connections: int = 0
    pipeline: int = 1
    idle: bool = False
    peers: tuple = ("apus", "go", "nio", "hummingbird", "c")
    client = "http-load"

    def programs(self):
        return {"apus": "apus-http", "go": "go-http", "nio": "nio-http", "hummingbird": "hummingbird-http",
                "c": "epoll-http"}

    def run(self, peer, processors, settings):
        command = server_command(self.programs()[peer], peer, processors)
        with processes.server(command, environment=environment(processors),
                              cores=Cores.placed(processors).program) as (process, port):
            if self.idle:
                options = ["--idle", str(settings.idle_connections), "--seconds", str(settings.settling_seconds)]
            else:
                options = ["--connections", str(self.connections), "--pipeline", str(self.pipeline),
                           "--seconds", str(settings.load_seconds)]
            return run_load(self.client, [process], port, options, settings, processors)


@dataclasses.dataclass(frozen=True, eq=False)
class Files:
    """A server of files of 1 MiB, all in the kernel's cache. A request is a file."""

    name: str
    measures: tuple
    connections: int = 16
    count: int = 8
    peers: tuple = ("apus", "go", "nginx")
    client = "http-load"

    def programs(self):
        return {"apus": "apus-http", "go": "go-http", "nginx": "nginx"}

    @contextlib.contextmanager
    def server(self, peer, processors, directory):
        program = self.programs()[peer]
        placed = {"environment": environment(processors), "cores": Cores.placed(processors).program}
        if peer == "nginx":
            with nginx.server(build.PATHS[program], directory, processors, **placed) as found:
                yield found
        else:
            command = server_command(program, peer, processors, "--directory", directory)
            with processes.server(command, **placed) as (process, port):
                yield [process], port

    def run(self, peer, processors, settings):
        with tempfile.TemporaryDirectory() as directory:
            for index in range(self.count):
                with open(os.path.join(directory, f"file-{index}.txt"), "wb") as file:
                    file.write(os.urandom(KIB * KIB))
            with self.server(peer, processors, directory) as (servers, port):
                options = ["--connections", str(self.connections), "--directory", directory,
                           "--files", str(self.count), "--seconds", str(settings.load_seconds)]
                return run_load(self.client, servers, port, options, settings, processors)


@dataclasses.dataclass(frozen=True, eq=False)
class UdpEcho:
    """A UDP echo server with packets under way all the time. A request is a packet that came back."""

    name: str
    measures: tuple
    sockets: int = 32
    window: int = 4  # packets under way for each socket: all of them fit into the server's buffers
    peers: tuple = ("apus", "go")
    client = "udp-load"

    def programs(self):
        return {"apus": "apus-udp-echo", "go": "go-udp-echo"}

    def run(self, peer, processors, settings):
        # Go knows how many processors it was given.
        sockets = ["--sockets", str(processors)] if peer == "apus" else []
        command = server_command(self.programs()[peer], peer, processors, *sockets)
        with processes.server(command, environment=environment(processors),
                              cores=Cores.placed(processors).program) as (process, port):
            options = ["--sockets", str(self.sockets), "--window", str(self.window), "--size", "64",
                       "--seconds", str(settings.load_seconds)]
            return run_load(self.client, [process], port, options, settings, processors)


def available_memory():
    with open("/proc/meminfo", encoding="ascii") as content:
        for line in content:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * KIB
    return 0


def nanoseconds(name, most):
    return Measure(name, "nanoseconds_per_operation", "ns", ratios={"go": most})


def timed(name, title, most=None, unit="ns", divisor=1):
    """A loop's time, and the CPU time that all threads of the process spent on it."""
    ratios = {} if most is None else {"go": most}
    return Micro(name, (
        Measure(title, "nanoseconds_per_operation", unit, divisor, ratios=ratios, informative=most is None),
        Measure(f"{title}: CPU", "cpu_nanoseconds_per_operation", unit, divisor, informative=True),
    ))


def allocations(name, field):
    return Measure(f"allocations: {name}", field, "", at_most=0)


CPU = "server_cpu_microseconds_per_request"
USER = "server_user_microseconds_per_request"

BENCHMARKS = [
    Micro("yield", (nanoseconds("yield, alone", 0.5),)),
    Micro("yield-switch", (nanoseconds("yield, to another goroutine", 0.5),)),
    Micro("spawn-join", (nanoseconds("spawn + join", 0.8),)),
    Micro("ping-pong", (nanoseconds("unbuffered channel, round trip", 0.7),)),
    Micro("buffered", (nanoseconds("buffered channel (128), per element", 0.9),)),
    timed("select-ready", "select, two ready channels", 0.8),
    timed("select-default", "select, nothing ready"),
    timed("select-wait", "select that waits, per element"),
    timed("mutex-contended", "contended mutex", 0.8),
    timed("mutex-handover", "contended mutex, holder yields", 0.8),
    timed("rwmutex-read", "read lock, alone", 0.8),
    timed("rwmutex-readers", "read lock, a reader on each processor", 0.8),
    timed("pool", "pool, take and give"),
    timed("timers", "a million timers set and stopped, each", 0.8),
    timed("channel-timers", "a million channel timers set and stopped, each"),
    Lateness("lateness", (
        Measure("sleep of 20 us: late by, median", "20.median", "us", informative=True),
        Measure("sleep of 1 ms: late by, median", "1000.median", "us", informative=True),
        Measure("sleep of 1 ms: late by, p99", "1000.p99", "us", informative=True),
        Measure("sleep of 1 ms: CPU", "1000.cpu", "us", informative=True),
    )),
    Micro("sleep-lateness", (
        Measure("sleep of 200 us: late by, median", "median_microseconds", "us", at_most=100),
        Measure("sleep of 200 us: late by, p99", "p99_microseconds", "us", informative=True),
    )),
    timed("sieve", "sieve of primes below 8,000", 0.8, "ms", 1e6),
    timed("power-series", "power series", 0.8, "ms", 1e6),
    Allocations("allocations", (
        allocations("send and receive, buffered", "send"),
        allocations("send and receive, unbuffered", "send_unbuffered"),
        allocations("trySend and tryReceive", "try_send"),
        allocations("select, ready", "select"),
        allocations("select, six cases", "select_of_six"),
        allocations("select, waiting", "select_waiting"),
        allocations("select, otherwise", "select_otherwise"),
        allocations("lock", "lock"),
        allocations("lock, contended", "lock_contended"),
        allocations("read lock", "read_lock"),
        allocations("write lock, contended", "write_lock"),
        allocations("condition, wait and signal", "condition"),
        allocations("pool, take and give", "pool"),
        allocations("sleep", "sleep"),
        allocations("read and write, TCP", "read_write"),
        allocations("HTTP request and its answer", "http_request"),
        Measure("allocations: HTTP, handler takes a field and a path's part, sets a field", "http_request_fields", "",
                informative=True),
        allocations("UDP datagram there and back", "datagram"),
        allocations("UDP datagram there and back, in batches", "datagram_batch"),
        allocations("yield", "yield"),
    )),
    Micro("skynet", (
        Measure("skynet, first tree of the process", "skynet-first.nanoseconds_per_operation", "ms", 1e6,
                ratios={"go": 1.0}),
        Measure("skynet, trees after it", "nanoseconds_per_operation", "ms", 1e6, ratios={"go": 1.0}),
        Measure("skynet, peak memory", "peak_kilobytes", "MiB", KIB, informative=True),
    ), limit=120),
    Micro("idle-goroutines", (
        Measure("idle goroutines, memory each", "bytes_per_goroutine", "KiB", KIB, at_most=4.8),
        Measure("idle goroutines, mappings", "mappings", "", below=1000),
        Measure("idle goroutines, start to end each", "nanoseconds_per_operation", "ns", informative=True),
    ), bytes_per_goroutine=7 * KIB, limit=180),
    Echo("tcp-echo-64", (
        Measure("TCP echo, 64 connections: CPU/request", CPU, "us", ratios={"go": 0.93, "nio": 0.8, "c": 1.08}),
        Measure("TCP echo, 64 connections: user CPU/request", USER, "us", ratios={"go": 0.5, "nio": 0.25}),
        Measure("TCP echo, 64 connections: p99", "p99_microseconds", "us", informative=True),
        Measure("TCP echo, 64 connections: requests/s", "requests_per_second", "k/s", 1000, informative=True),
    ), connections=64),
    Echo("tcp-echo-1000", (
        Measure("TCP echo, 1,000 connections: p99", "p99_microseconds", "ms", 1000, ratios={"go": 1.0}),
        Measure("TCP echo, 1,000 connections: CPU/request", CPU, "us", informative=True),
        Measure("TCP echo, 1,000 connections: requests/s", "requests_per_second", "k/s", 1000, informative=True),
    ), connections=1000),
    Echo("tcp-idle", (
        Measure("idle connections, memory each", "bytes_per_connection", "KiB", KIB, at_most=6),
    ), idle=True),
    Http("http-64", (
        Measure("HTTP, 64 connections: CPU/request", CPU, "us",
                ratios={"go": 0.6, "nio": 0.6, "hummingbird": 0.35, "c": 1.2}),
        Measure("HTTP, 64 connections: user CPU/request", USER, "us",
                ratios={"go": 0.2, "nio": 0.2, "hummingbird": 0.1}),
        Measure("HTTP, 64 connections: p99", "p99_microseconds", "us", ratios={"go": 1.0}),
        Measure("HTTP, 64 connections: requests/s", "requests_per_second", "k/s", 1000, informative=True),
    ), connections=64),
    Http("http-pipelined", (
        Measure("HTTP, pipelined by 16: CPU/request", CPU, "us", ratios={"go": 0.3}),
        Measure("HTTP, pipelined by 16: user CPU/request", USER, "us", informative=True),
        Measure("HTTP, pipelined by 16: requests/s", "requests_per_second", "k/s", 1000, informative=True),
    ), connections=64, pipeline=16),
    Http("http-1000", (
        Measure("HTTP, 1,000 connections: p99", "p99_microseconds", "ms", 1000, ratios={"go": 1.0}),
        Measure("HTTP, 1,000 connections: CPU/request", CPU, "us", informative=True),
        Measure("HTTP, 1,000 connections: requests/s", "requests_per_second", "k/s", 1000, informative=True),
    ), connections=1000),
    Http("http-idle", (
        Measure("idle HTTP connections, memory each", "bytes_per_connection", "KiB", KIB, at_most=6),
    ), idle=True),
    Files("http-files", (
        Measure("files of 1 MiB: CPU/MiB", CPU, "us", ratios={"nginx": 1.0}),
        Measure("files of 1 MiB: user CPU/MiB", USER, "us", informative=True),
        Measure("files of 1 MiB: bytes/s", "requests_per_second", "GiB/s", KIB, informative=True),
    )),
    UdpEcho("udp-echo", (
        Measure("UDP echo: CPU/packet", CPU, "us", ratios={"go": 0.7}),
        Measure("UDP echo: user CPU/packet", USER, "us", informative=True),
        Measure("UDP echo: packets/s", "requests_per_second", "k/s", 1000, informative=True),
    )),
]


def selected(names):
    """The benchmarks whose name is given, or starts with a given one: `tcp-echo` is both of them."""
    if not names:
        return BENCHMARKS
    for name in names:
        if not any(benchmark.name.startswith(name) for benchmark in BENCHMARKS):
            known = " ".join(benchmark.name for benchmark in BENCHMARKS)
            raise Failure(f"there is no benchmark `{name}`; there are: {known}")
    exact = {benchmark.name for benchmark in BENCHMARKS} & set(names)
    return [benchmark for benchmark in BENCHMARKS
            if benchmark.name in exact
            or any(benchmark.name.startswith(name) for name in names if name not in exact)]
