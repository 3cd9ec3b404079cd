// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

/// What is made of the lines that SwiftPM and linkers print.
@Suite struct SwiftPMOutputTests {
    private func sort(_ lines: String...) -> [SwiftPMOutput.Line] {
        var output = SwiftPMOutput()
        return lines.flatMap { output.take($0) } + output.finish()
    }

    @Test(arguments: [
        (
            "[3/17] Compiling Logging Logger.swift",
            SwiftPMOutput.Line.step(3, of: 17, text: "Compiling Logging Logger.swift")
        ),
        ("[0/1] Planning build", .step(0, of: 1, text: "Planning build")),
        ("[a/1] no step", .message(nil, "[a/1] no step")),
        ("[1/2]", .message(nil, "[1/2]")),
        ("Fetching https://example.com/a from cache", .activity("Fetching https://example.com/a from cache")),
        ("Building for production...", .chatter),
        ("Build of product 'a' complete! (1.20s)", .chatter),
        ("/p/a.swift:1:2: error: no", .message(.error, "/p/a.swift:1:2: error: no")),
        ("warning: 'p': unused", .message(.warning, "warning: 'p': unused")),
        ("/p/a.swift:1:2: note: here", .message(.note, "/p/a.swift:1:2: note: here")),
        ("1 | let error = 1", .message(nil, "1 | let error = 1")),
    ])
    func oneLine(_ line: String, _ sorted: SwiftPMOutput.Line) { #expect(sort(line) == [sorted]) }

    private static let harmless =
        "warning: Using 'getaddrinfo' in statically linked applications requires at runtime the shared libraries from "
        + "the glibc version used for linking"

    @Test func marksOfStaticLinkingAreHarmless() {
        #expect(sort("a.o:a.c:function f: \(Self.harmless)") == [.harmless])
        #expect(
            sort("/usr/bin/ld: a.o: in function `f':", "a.c:(.text+0x1): \(Self.harmless)") == [.harmless, .harmless])
        let archive = "/t/usr/lib/swift_static/linux/libX.a(x.o)"
        #expect(sort("\(archive): warning: the use of `mktemp' is dangerous, better use `mkstemp'") == [.harmless])
        #expect(sort("warning: caching disabled because assembler language mode is enabled") == [.harmless])
    }

    @Test func whatLinkersSayOtherwiseIsShown() {
        let function = "/usr/bin/ld: a.o: in function `f':"
        let undefined = "a.c:(.text+0x1): undefined reference to `g'"
        #expect(sort(function, undefined) == [.message(nil, function), .message(nil, undefined)])
        #expect(sort(function) == [.message(nil, function)])
        let own = "a.o: warning: the use of `mktemp' is dangerous, better use `mkstemp'"
        #expect(sort(own) == [.message(.warning, own)])
    }
}
