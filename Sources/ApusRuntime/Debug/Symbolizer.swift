// SPDX-License-Identifier: Apache-2.0
//
// What return addresses are called: function, file and line, and the same of functions that were inlined there.
//
// Functions come from the symbol tables of the files that the program was loaded from, lines and inlined functions from
// their debug information. The standard library has a module for this, too (`Runtime`); docs/design/0011-seeing.md says
// why it is not used. What cannot be found out is said (`Symbolization.remarks(on:)`), never guessed.

import CApus

/// A return address, or a call at it that was inlined, and what is known of it.
struct Frame: Sendable {
    let address: UInt
    /// As the linker knows it; nil when nobody does.
    var symbol: String?
    /// As people write it.
    var function: String?
    /// Whether it only calls that function, with its context.
    var isForwarder = false
    var path: String?
    var line: Int?
    /// The file it was loaded from, and where in it; for tools that know more (`addr2line -fe FILE 0xOFFSET`).
    var image: String?
    var offset: UInt = 0
    var isInProgram = false

    /// Whether the function is the runtime's or the network's.
    var isOurs: Bool {
        guard let symbol else { return false }
        return symbol.hasPrefix("$s11ApusRuntime") || symbol.hasPrefix("$s7ApusNet")
            || symbol.hasPrefix("apus_context_")
            || ["apus_goroutine_start", "apus_call_on_stack", "apus_switch"].contains(symbol)
    }

    /// Whether it is one of the first frames of every goroutine.
    var startsGoroutines: Bool {
        guard let symbol, isOurs else { return isThunk }
        return symbol == "apus_goroutine_start" || symbol.contains("goroutineEntry") || symbol.contains("runBody")
    }

    /// Whether the function is the standard library's.
    var isStandardLibrary: Bool { symbol?.hasPrefix("$ss") ?? false }

    /// Whether a program's first thread begins here. SwiftPM renames the function where tests need their own.
    var isMain: Bool { symbol == "main" || symbol?.hasSuffix("_main") ?? false }

    /// Where threads begin, mostly.
    var isNamelessInCLibrary: Bool { function == nil && image?.hasPrefix("libc.") ?? false }

    /// Whether the compiler made the function to call another one.
    var isThunk: Bool {
        guard let function else { return false }
        return function.hasPrefix("thunk for ")
    }

    var text: String {
        guard let function else {
            let number = String(address, radix: 16)
            guard let image else { return "0x\(number)" }
            return "0x\(number) in \(image) + 0x\(String(offset, radix: 16))"
        }
        guard let path, let line else {
            return image.map { isInProgram ? function : "\(function) in \($0)" } ?? function
        }
        return "\(function) at \(path):\(line)"
    }
}

/// What could be found out about some addresses.
struct Symbolization {
    /// The frames of each address, the innermost first: more than one where calls were inlined.
    fileprivate(set) var frames: [UInt: [Frame]] = [:]
    fileprivate var remarks: [(image: String, text: String)] = []

    func frames(at address: UInt) -> [Frame] { frames[address] ?? [Frame(address: address)] }

    /// What could not be found out about these frames and why, a sentence or two for each file.
    func remarks(on frames: [Frame]) -> [String] {
        let incomplete = Set(frames.filter { $0.function == nil || $0.line == nil }.compactMap(\.image))
        return remarks.filter { incomplete.contains($0.image) }.map(\.text)
    }
}

extension Symbolization {
    fileprivate mutating func remark(_ image: String, _ text: String) {
        remarks.append((image, "\(image) \(text)"))
    }
}

enum Symbolizer {
    /// Finds out what return addresses are called.
    ///
    /// Reads the files' tables anew each time and keeps nothing: some milliseconds for a small program, and about a second
    /// for a hundred megabytes of debug information.
    static func symbolize(returnAddresses: some Sequence<UInt>) -> Symbolization {
        var result = Symbolization()
        let addresses = Set(returnAddresses).sorted()
        for image in loadedImages() {
            // A return address may be the first of the next function: the call itself lies before it.
            let own = addresses.filter { image.range.contains($0 &- 1) }
            if !own.isEmpty { symbolize(own, in: image, result: &result) }
        }
        for address in addresses where result.frames(at: address).last?.function == nil {
            addDynamicSymbol(of: address, to: &result)
        }
        return result
    }

    private struct Image {
        var path: String
        var base: UInt
        var range: Range<UInt>
        var notes: [UInt8]
        var notesOffset: UInt64

        var isProgram: Bool { path == "/proc/self/exe" }

        /// The file's name without its folder.
        var name: String {
            isProgram ? CommandLine.arguments.first.map(lastComponent) ?? "the program" : lastComponent(path)
        }
    }

    private static func lastComponent(_ path: String) -> String {
        String(path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...])
    }

    private static func loadedImages() -> [Image] {
        var images: [Image] = []
        unsafe withUnsafeMutablePointer(to: &images) { images in
            unsafe apus_images(
                { image, images in
                    let image = unsafe image.pointee
                    let notes = unsafe UnsafeRawBufferPointer(start: image.notes, count: image.notes_bytes)
                    unsafe images.assumingMemoryBound(to: [Image].self).pointee.append(
                        Image(
                            path: String(cString: image.path), base: image.base, range: image.low..<image.high,
                            notes: Array(notes), notesOffset: UInt64(image.notes_offset)))
                }, images)
        }
        return images
    }

    private static func symbolize(_ addresses: [UInt], in image: Image, result: inout Symbolization) {
        for address in addresses {
            result.frames[address] = [Frame(address: address, image: image.name, offset: address - image.base)]
        }
        guard let file = ObjectFile(path: image.path) else {
            result.remark(image.name, "cannot be read: only names that it exports are known")
            return
        }
        guard file.holds(image.notes, at: image.notesOffset) else {
            result.remark(image.name, "has been replaced since it was loaded: only exported names are known")
            return
        }
        let calls = addresses.map { UInt64($0 - image.base - 1) }
        let functions = file.functions(at: calls)
        let lines = lineTable(of: file, lowestAddress: UInt64(image.range.lowerBound - image.base))
        let places = lines?.places(of: calls) ?? [:]
        let chains = debugInfo(of: file)?.functions(at: calls) ?? [:]
        for (address, call) in zip(addresses, calls) {
            var frame = result.frames[address]![0]
            frame.isInProgram = image.isProgram
            var place = places[call]
            var frames: [Frame] = []
            // From the innermost function out: each stands where the one before was called.
            for function in (chains[call] ?? []).reversed() {
                frame.set(symbol: function.name, place: place)
                frames.append(frame)
                place = function.call.flatMap { call in
                    call.line == 0
                        ? nil
                        : lines?.path(ofFile: call.file, program: call.program).map {
                            LineTable.Place(path: $0, line: call.line)
                        }
                }
            }
            // What the linker calls the outermost one is the truth, where it calls it anything.
            if frames.isEmpty {
                frame.set(symbol: functions[call]?.name, place: place)
                frames = [frame]
            } else if let symbol = functions[call]?.name {
                frames[frames.count - 1].set(symbol: symbol)
            }
            result.frames[address] = frames
        }
        if functions.isEmpty, chains.isEmpty {
            result.remark(image.name, "is stripped: only names that it exports are known")
        }
        if lines == nil {
            result.remark(image.name, "has no debug information (.debug_line): its lines are not known")
        }
    }

    private static func lineTable(of file: borrowing ObjectFile, lowestAddress: UInt64) -> LineTable? {
        guard let lines = file.contents(ofSection: ".debug_line") else { return nil }
        return LineTable(
            lines: lines, lineTexts: file.contents(ofSection: ".debug_line_str") ?? [],
            texts: file.contents(ofSection: ".debug_str") ?? [], lowestAddress: lowestAddress)
    }

    private static func debugInfo(of file: borrowing ObjectFile) -> DebugInfo? {
        guard let info = file.contents(ofSection: ".debug_info"), let shapes = file.contents(ofSection: ".debug_abbrev")
        else { return nil }
        return DebugInfo(
            DebugInfo.Sections(
                info: info, shapes: shapes, texts: file.contents(ofSection: ".debug_str") ?? [],
                lineTexts: file.contents(ofSection: ".debug_line_str") ?? [],
                textOffsets: file.contents(ofSection: ".debug_str_offsets") ?? [],
                addresses: file.contents(ofSection: ".debug_addr") ?? [],
                ranges: file.contents(ofSection: ".debug_ranges") ?? [],
                rangeLists: file.contents(ofSection: ".debug_rnglists") ?? []))
    }

    private static func addDynamicSymbol(of address: UInt, to result: inout Symbolization) {
        var distance: UInt = 0
        guard let name = unsafe apus_dynamic_symbol(address &- 1, &distance) else { return }
        var frames = result.frames(at: address)
        frames[frames.count - 1].set(symbol: unsafe String(cString: name))
        result.frames[address] = frames
    }
}

extension Frame {
    fileprivate mutating func set(symbol: String?, place: LineTable.Place?) {
        self.symbol = nil
        function = nil
        if let symbol { set(symbol: symbol) }
        // What the compiler made by itself has a name for a file that is none.
        let isReal = place.map { !$0.path.hasSuffix("<compiler-generated>") } ?? false
        path = isReal ? place?.path : nil
        line = isReal ? place?.line : nil
    }

    fileprivate mutating func set(symbol: String) {
        self.symbol = symbol
        guard let demangled = unsafe apus_demangle(symbol) else {
            function = symbol
            return
        }
        defer { unsafe apus_free(demangled) }
        // Which copy of a function it is, and through which other one it is called, matters to the compiler only.
        var text = unsafe String(cString: demangled)[...]
        isForwarder = text.hasPrefix(Self.forwarderPrefix)
        for prefix in [Self.forwarderPrefix, "specialized "] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
        }
        function = String(text)
    }

    private static var forwarderPrefix: String { "partial apply for " }
}
