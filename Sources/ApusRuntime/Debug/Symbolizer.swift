// SPDX-License-Identifier: Apache-2.0
//
// What return addresses are called: function, file and line.
//
// Functions come from the symbol tables of the files that the program was loaded from, lines from their debug
// information. Where the compiler inlined one function into another, the function is the outer one and the line the
// inner one's. What cannot be found out is said (`Symbolization.remarks(on:)`), never guessed.

import CApus

/// A return address and what is known of it.
struct Frame: Sendable {
    let address: UInt
    /// As the linker knows it; nil when nobody does.
    var symbol: String?
    /// As people write it.
    var function: String?
    var path: String?
    var line: Int?
    /// The file it was loaded from, and where in it; for tools that know more (`addr2line -fe FILE 0xOFFSET`).
    var image: String?
    var offset: UInt = 0

    /// Whether the function is the runtime's or the network's.
    var isOurs: Bool {
        guard let symbol else { return false }
        return symbol.hasPrefix("$s11ApusRuntime") || symbol.hasPrefix("$s7ApusNet")
            || symbol.hasPrefix("apus_context_")
            || ["apus_goroutine_start", "apus_call_on_stack", "apus_switch"].contains(symbol)
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
        return function.hasPrefix("thunk for ") || function.hasPrefix("partial apply for ")
    }

    var text: String {
        guard let function else {
            let number = String(address, radix: 16)
            guard let image else { return "0x\(number)" }
            return "0x\(number) in \(image) + 0x\(String(offset, radix: 16))"
        }
        guard let path, let line else { return image.map { "\(function) in \($0)" } ?? function }
        return "\(function) at \(path):\(line)"
    }
}

/// What could be found out about some addresses.
struct Symbolization {
    fileprivate(set) var frames: [UInt: Frame] = [:]
    fileprivate var remarks: [(image: String, text: String)] = []

    func frame(at address: UInt) -> Frame { frames[address] ?? Frame(address: address) }

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
        for address in addresses where result.frames[address]?.function == nil {
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

        /// The file's name without its folder.
        var name: String {
            let isProgram = path == "/proc/self/exe"
            return isProgram ? CommandLine.arguments.first.map(lastComponent) ?? "the program" : lastComponent(path)
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
            result.frames[address] = Frame(address: address, image: image.name, offset: address - image.base)
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
        let table = file.contents(ofSection: ".debug_line").map {
            LineTable(
                lines: $0, lineTexts: file.contents(ofSection: ".debug_line_str") ?? [],
                texts: file.contents(ofSection: ".debug_str") ?? [],
                lowestAddress: UInt64(image.range.lowerBound - image.base))
        }
        let places = table?.places(of: calls) ?? [:]
        for (address, call) in zip(addresses, calls) {
            if let symbol = functions[call] {
                result.frames[address]!.symbol = symbol.name
                result.frames[address]!.function = demangle(symbol.name)
            }
            if let place = places[call] {
                result.frames[address]!.path = place.path
                result.frames[address]!.line = place.line
            }
        }
        if functions.isEmpty {
            result.remark(image.name, "is stripped: only names that it exports are known")
        }
        if table == nil {
            result.remark(image.name, "has no debug information (.debug_line): its lines are not known")
        }
    }

    private static func addDynamicSymbol(of address: UInt, to result: inout Symbolization) {
        var distance: UInt = 0
        guard let name = unsafe apus_dynamic_symbol(address - 1, &distance) else { return }
        let symbol = unsafe String(cString: name)
        result.frames[address, default: Frame(address: address)].symbol = symbol
        result.frames[address]!.function = demangle(symbol)
    }

    private static func demangle(_ symbol: String) -> String {
        guard let text = unsafe apus_demangle(symbol) else { return symbol }
        defer { unsafe apus_free(text) }
        let name = unsafe String(cString: text)
        // Which copy of a function it is matters to the compiler only.
        let prefix = "specialized "
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }
}
