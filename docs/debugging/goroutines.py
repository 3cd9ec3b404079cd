# SPDX-License-Identifier: Apache-2.0
"""Lists a live process's goroutines in gdb, with the stacks of those that are not running.

    gdb -p PID -x docs/debugging/goroutines.py
    (gdb) goroutines            every goroutine: name, what it waits for and where, or which thread runs it; its birthplace
    (gdb) goroutine 17          the same of one, and its stack

For a process that cannot write its own dump (SIGQUIT): stopped, hung, or out of memory. Only reads memory. Linux on
x86-64 only. What it knows of the runtime: names in struct apus_context (Sources/CApus/include/CApus.h), the slots of
Sources/ApusRuntime/Stack/StackArena.swift, what switch_x86_64.S saves, how far `life` lies behind the context in
GoroutineRecord (Sources/ApusRuntime/Scheduler/Goroutine.swift), how `waitNote`, `frame` and `birth` follow each other
there (found by the birthplace, which is a file's name), and the cases of WaitReason, in their order
(Sources/ApusRuntime/Debug/WaitReason.swift).
"""

import struct

import gdb

SLOT_BYTES = 256 * 1024
GUARD_BYTES = 64 * 1024
TOP_BYTES = 4096  # the record lies somewhere in here
LIFE_DISTANCE = 24  # from the context's end: a link and a closure. Holds identifier << 1 | 0 or 1; 0 after its end
RECORD_WORDS = 64  # more than the record has behind `life`
NAME_CAPACITY = 32
REASONS = (
    "",
    "channel send",
    "channel receive",
    "sleep",
    "join",
    "mutex",
    "wait group",
    "read from the network",
    "write to the network",
    "blocking call",
    "another goroutine",
    "select",
    "once",
    "semaphore",
    "condition",
    "read lock",
    "write lock",
)
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


def text(address, count):
    try:
        return gdb.selected_inferior().read_memory(address, count).tobytes().decode()
    except (gdb.MemoryError, UnicodeDecodeError):
        return None


class Label:
    """What a goroutine's record says for people: reason of a wait, birthplace, name, and where a blocking call's frames
    begin."""

    def __init__(self, context):
        self.reason, self.birthplace, self.name, self.frame = "", None, None, 0
        layout = Layout()
        end = (context // SLOT_BYTES + 1) * SLOT_BYTES
        start = context + 8 * layout.life
        record = words(start, min(RECORD_WORDS, (end - start) // 8))
        # The wait note, the frame, the file's name, its length with the line, the name's length, the name's four words.
        for index in range(2, len(record) - 6):
            file, place = record[index : index + 2]
            count = place >> 32
            if not 5 < count < 1024 or not 1 << 12 < file < 1 << 47:
                continue
            path = text(file, count)
            if path is None or not path.endswith(".swift"):
                continue
            note = record[index - 2] & 0xFF
            self.reason = REASONS[note] if note < len(REASONS) else f"reason {note}"
            self.frame = record[index - 1]
            self.birthplace = f"{path}:{place & 0xFFFFFFFF}"
            length = min(record[index + 2] & 0xFF, NAME_CAPACITY)
            if length > 0:
                self.name = text(start + 8 * (index + 3), length)
            return

    def title(self, identifier):
        return f'goroutine {identifier} "{self.name}"' if self.name else f"goroutine {identifier}"


def arenas():
    with open(f"/proc/{gdb.selected_inferior().pid}/maps", encoding="ascii") as maps:
        for line in maps:
            fields = line.split()
            low, high = (int(part, 16) for part in fields[0].split("-"))
            if len(fields) == 5 and fields[1] == "rw-p" and high - low >= 64 << 20:
                yield low, high


def contexts():
    """(identifier, address) of each goroutine that lives. A context's `stack_high` is its own address: so it is found. That
    of a goroutine inside `withStack` has the larger stack's bounds, but then its number stands in two places."""
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
                bounds = page[index + low_word], page[index + high_word]
                identifier = page[index + layout.offsets["identifier"]]
                is_alive = identifier > 0 and page[index + layout.life] >> 1 == identifier
                if bounds == (base + GUARD_BYTES, address):
                    misses = 0
                    if is_alive:
                        yield identifier, address
                elif is_alive and bounds[0] < bounds[1] < 1 << 47 and bounds[0] % 4096 == 0:
                    misses = 0
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
    """The return addresses on a suspended goroutine's stack: the switch's own, then along the frame pointers. They cross
    from a larger stack (withStack) to the one that called it; so what ends them is memory that is not there, or a limit."""
    (stack_pointer,) = members(context, "stack_pointer")
    pointer, address = words(stack_pointer + 48, 2)
    yield address
    for _ in range(256):
        try:
            pointer, address = words(pointer, 2)
        except gdb.MemoryError:
            return
        if address == 0:
            return
        yield address


def symbol_at(address):
    symbol = gdb.execute(f"info symbol {address - 1}", to_string=True).strip().split(" in section")[0]
    return symbol.rsplit(" + ", 1)[0]


def describe(address):
    # A return address may be the first of the next function.
    symbol = symbol_at(address)
    place = gdb.find_pc_line(address - 1)
    where = f" at {place.symtab.filename}:{place.line}" if place.symtab else ""
    return f"{address:#018x} {symbol}{where}"


def is_ours(address):
    """Whether it is the runtime's, the network's, the standard library's, or made by the compiler to call another one."""
    symbol = symbol_at(address)
    return symbol.startswith(("$s11ApusRuntime", "$s7ApusNet", "$ss", "apus_")) or symbol.endswith(("TR", "TA"))


def where(identifier, context, threads):
    """One line: what the goroutine does, and at which place of the program."""
    label = Label(context)
    low, high = members(context, "stack_low", "stack_high")
    thread = next((number for pointer, number in threads.items() if low <= pointer < high), None)
    started = f"; started at {label.birthplace}" if label.birthplace else ""
    title = label.title(identifier)
    if label.frame:
        return f"{title} [{label.reason}]: in blocking {{ }}{f' on thread {thread}' if thread else ''}{started}"
    if thread is not None:
        return f"{title} [running]: on thread {thread}{started}"
    stack = list(frames(context))
    # Where it waits is what the reader wants to know, not how.
    place = next((address for address in stack if not is_ours(address)), None)
    if place is None:
        place = next((address for address in stack if not symbol_at(address).startswith("apus_")), stack[0])
    return f"{title} [{label.reason or 'runnable'}]: {describe(place)}{started}"


class Goroutines(gdb.Command):
    """Lists all goroutines."""

    def __init__(self):
        super().__init__("goroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        threads = running()
        for identifier, context in sorted(contexts()):
            print(where(identifier, context, threads))


class OneGoroutine(gdb.Command):
    """Prints the stack of the goroutine with the given number."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        context = dict(contexts()).get(int(argument))
        if context is None:
            raise gdb.GdbError(f"there is no goroutine {argument}")
        threads = running()
        low, high = members(context, "stack_low", "stack_high")
        for pointer, number in threads.items():
            if low <= pointer < high:
                raise gdb.GdbError(f"goroutine {argument} runs: thread {number}, then bt")
        print(where(int(argument), context, threads))
        for number, address in enumerate(frames(context)):
            print(f"#{number:<3} {describe(address)}")


Goroutines()
OneGoroutine()
