# SPDX-License-Identifier: Apache-2.0
"""Lists a live process's goroutines in gdb, with the stacks of those that are not running.

    gdb -p PID -x docs/debugging/goroutines.py
    (gdb) goroutines            every goroutine: where it waits, or which thread runs it
    (gdb) goroutine 17          the stack of one

Only reads memory. Linux on x86-64 only. What it knows of the runtime: names in struct apus_context
(Sources/CApus/include/CApus.h), the slots of Sources/ApusRuntime/Stack/StackArena.swift, what switch_x86_64.S saves, and
how far `life` lies behind the context in GoroutineRecord (Sources/ApusRuntime/Scheduler/Goroutine.swift).
"""

import struct

import gdb

SLOT_BYTES = 256 * 1024
GUARD_BYTES = 64 * 1024
TOP_BYTES = 4096  # the record lies somewhere in here
LIFE_DISTANCE = 24  # from the context's end: a link and a closure. Holds identifier << 1 | 0 or 1; 0 after its end
MISSES_TO_STOP = 4096  # slots are handed out in order; those whose memory was given back have no record


def words(address, count):
    memory = gdb.selected_inferior().read_memory(address, 8 * count)
    return struct.unpack(f"<{count}Q", memory.tobytes())


class Layout:
    """Where the members of a goroutine's context lie, in words."""

    def __init__(self):
        try:
            context = gdb.lookup_type("struct apus_context")
        except gdb.error:
            raise gdb.GdbError("this program has no goroutines, or no debug information about them") from None
        self.offsets = {field.name: field.bitpos // 64 for field in context.fields()}
        self.life = (context.sizeof + LIFE_DISTANCE) // 8
        self.count = self.life + 1


def members(context, *names):
    layout = Layout()
    values = words(context, layout.count)
    return [values[layout.offsets[name]] for name in names]


def arenas():
    with open(f"/proc/{gdb.selected_inferior().pid}/maps", encoding="ascii") as maps:
        for line in maps:
            fields = line.split()
            low, high = (int(part, 16) for part in fields[0].split("-"))
            if len(fields) == 5 and fields[1] == "rw-p" and high - low >= 64 << 20:
                yield low, high


def contexts():
    """(identifier, address) of each goroutine that lives. A context's `stack_high` is its own address: so it is found."""
    layout = Layout()
    low_word, high_word = layout.offsets["stack_low"], layout.offsets["stack_high"]
    for low, high in arenas():
        misses = 0
        for base in range(low + -low % SLOT_BYTES, high - SLOT_BYTES + 1, SLOT_BYTES):
            top = base + SLOT_BYTES - TOP_BYTES
            page = words(top, TOP_BYTES // 8)
            misses += 1
            for index in range(0, len(page) - layout.count, 8):
                address = top + 8 * index
                if page[index + low_word] == base + GUARD_BYTES and page[index + high_word] == address:
                    misses = 0
                    identifier = page[index + layout.offsets["identifier"]]
                    if page[index + layout.life] >> 1 == identifier:
                        yield identifier, address
            if misses == MISSES_TO_STOP:
                break


def running():
    """Stack pointer -> number of the thread."""
    selected = gdb.selected_thread()
    found = {}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        found[int(gdb.parse_and_eval("(unsigned long)$rsp"))] = thread.num
    selected.switch()
    return found


def frames(context):
    """The return addresses on a suspended goroutine's stack: the switch's own, then along the frame pointers."""
    stack_pointer, low, high = members(context, "stack_pointer", "stack_low", "stack_high")
    pointer, address = words(stack_pointer + 48, 2)
    yield address
    while low <= pointer < high:
        pointer, address = words(pointer, 2)
        if address == 0:
            return
        yield address


def describe(address):
    # A return address may be the first of the next function.
    symbol = gdb.execute(f"info symbol {address - 1}", to_string=True).strip().split(" in section")[0]
    place = gdb.find_pc_line(address - 1)
    where = f" at {place.symtab.filename}:{place.line}" if place.symtab else ""
    return f"{address:#018x} {symbol}{where}"


def is_ours(address):
    place = gdb.find_pc_line(address - 1)
    return place.symtab is not None and "/Sources/ApusRuntime/" in place.symtab.filename or "apus_" in describe(address)


class Goroutines(gdb.Command):
    """Lists all goroutines."""

    def __init__(self):
        super().__init__("goroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        threads = running()
        for identifier, context in sorted(contexts()):
            low, high = members(context, "stack_low", "stack_high")
            thread = next((number for pointer, number in threads.items() if low <= pointer < high), None)
            if thread is not None:
                print(f"goroutine {identifier}: running on thread {thread}")
                continue
            stack = list(frames(context))
            # Where it waits is what the reader wants to know, not how.
            place = next((address for address in stack if not is_ours(address)), stack[0])
            print(f"goroutine {identifier}: {describe(place)}")


class OneGoroutine(gdb.Command):
    """Prints the stack of the goroutine with the given number."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        context = dict(contexts()).get(int(argument))
        if context is None:
            raise gdb.GdbError(f"there is no goroutine {argument}")
        low, high = members(context, "stack_low", "stack_high")
        for pointer, number in running().items():
            if low <= pointer < high:
                raise gdb.GdbError(f"goroutine {argument} runs: thread {number}, then bt")
        for number, address in enumerate(frames(context)):
            print(f"#{number:<3} {describe(address)}")


Goroutines()
OneGoroutine()
