# SPDX-License-Identifier: Apache-2.0
"""What is run, for whom, which figures of it count, and what they must reach."""

import dataclasses
import json
import os

from comparison import build, processes
from comparison.processes import Failure

PEERS = {"apus": "Apus", "go": "Go", "nio": "SwiftNIO", "c": "C, raw epoll"}

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


QUICK = Settings(sample_seconds=0.1, actors=100_000, goroutines=100_000, timers=100_000, idle_connections=1000,
                 warmup_seconds=0.3, load_seconds=1)


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
class Echo:
    """An echo server under load, or with connections that do nothing."""

    name: str
    measures: tuple
    connections: int = 0
    idle: bool = False
    peers: tuple = ("apus", "go", "nio", "c")

    def programs(self):
        return {"apus": "apus-echo", "go": "go-echo", "nio": "nio-echo", "c": "epoll-echo"}

    def server_command(self, peer, processors):
        program = build.PATHS[self.programs()[peer]]
        if peer in ("nio", "c"):
            return [program, "--port", "0", "--threads", str(processors)]
        return [program, "--port", "0"]

    def run(self, peer, processors, settings):
        cores = Cores.placed(processors)
        command = self.server_command(peer, processors)
        with processes.server(command, environment=environment(processors), cores=cores.program) as (process, port):
            load = [build.PATHS["load"], "--port", str(port), "--server-pid", str(process), "--size", "64",
                    "--warmup", str(settings.warmup_seconds)]
            if self.idle:
                load += ["--idle", str(settings.idle_connections), "--seconds", "1"]
            else:
                load += ["--connections", str(self.connections), "--seconds", str(settings.load_seconds)]
            limit = settings.warmup_seconds + settings.load_seconds + 60
            figures = json.loads(processes.run(load, limit, cores=cores.client))
        if figures["errors"] > 0:
            raise Failure(f"{figures['errors']} of its connections failed")
        if figures.get("requests") == 0:
            raise Failure("it answered nothing")
        return figures


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
    timed("mutex-contended", "contended mutex", 0.8),
    timed("mutex-handover", "contended mutex, holder yields", 0.8),
    Micro("sleep-lateness", (
        Measure("sleep of 200 us: late by, median", "median_microseconds", "us", at_most=100),
        Measure("sleep of 200 us: late by, p99", "p99_microseconds", "us", informative=True),
    )),
    timed("sieve", "sieve of primes below 8,000", 0.8, "ms", 1e6),
    Allocations("allocations", (
        allocations("send and receive, buffered", "send"),
        allocations("send and receive, unbuffered", "send_unbuffered"),
        allocations("trySend and tryReceive", "try_send"),
        allocations("lock", "lock"),
        allocations("lock, contended", "lock_contended"),
        allocations("sleep", "sleep"),
        allocations("read and write, TCP", "read_write"),
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
