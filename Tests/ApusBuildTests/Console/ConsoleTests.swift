// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// What goes where.
@Suite struct ConsoleTests {
    @Test("A line of progress stays on its line, however long it is")
    func progress() {
        let errors = Sayings()
        let console = Console(style: .terminal, output: { _ in }, errors: errors.add)
        console.progress("long")
        console.say("said")
        // The terminal does not begin a new line in between.
        #expect(errors.text == "\r\u{1B}[K\u{1B}[?7llong\u{1B}[?7h\r\u{1B}[Ksaid\n")
    }

    @Test("With --json nothing but events goes to standard output")
    func events() {
        let output = Sayings()
        let console = Console(style: .json, output: output.add, errors: { _ in })
        console.result("a line")
        console.event(["a": "1/2"])
        #expect(output.text == #"{"a":"1/2"}"# + "\n")
    }
}
