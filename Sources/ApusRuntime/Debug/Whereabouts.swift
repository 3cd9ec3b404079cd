// SPDX-License-Identifier: Apache-2.0
//
// Where a program stands that is about to be stopped by a sentence: without it the sentence would not say whose call
// broke the rule, and a debugger sees no more than the end of the process.

import CApus
import Synchronization

enum Whereabouts {
    /// Set by the first who fails: another, or a failure in here, has the sentence alone.
    private static let isTaken = Atomic(false)

    /// The calling goroutine, its calls, and the seed of its simulation: lines to follow the sentence.
    ///
    /// Takes no lock but those of the memory allocator and reads the files of the program, so it may be called anywhere but
    /// in a signal handler.
    static func describe(from callerFrame: UInt) -> String {
        guard !isTaken.exchange(true, ordering: .relaxed) else { return "" }
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        let goroutine = ThreadReference.current?.running
        let stack = Observer.stack(from: callerFrame, of: goroutine)
        let symbols = Symbolizer.symbolize(returnAddresses: stack)
        var text = ""
        if let goroutine {
            let name = goroutine.record.birth.name.map { " \"\($0)\"" } ?? ""
            text += "  in \(Goroutine.current!)\(name)\n"
        }
        let directory = Dump.workingDirectory()
        for frame in Dump.visible(stack.flatMap(symbols.frames)) {
            text += "    \(Dump.line(of: frame, directory: directory))\n"
        }
        if let birthplace = goroutine?.record.birth.birthplace, let file = birthplace.fileName {
            text += "    started at \(file):\(birthplace.line)\n"
        }
        if let seed = Simulation.current?.seed { text += "  in a simulation with seed \(seed)\n" }
        return text
    }
}
