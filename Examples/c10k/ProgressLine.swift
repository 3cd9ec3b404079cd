// SPDX-License-Identifier: Apache-2.0
//
// What goes on, in one line on standard error: written over and over on a terminal, once a second elsewhere.

import Apus
import Foundation

struct ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var lastText = ""
    private var lastTime: ContinuousClock.Instant?

    mutating func show(_ text: String) {
        let now = ContinuousClock.now
        guard text != lastText else { return }
        if let lastTime, now - lastTime < (isTerminal ? .milliseconds(100) : .seconds(1)) { return }
        lastText = text
        lastTime = now
        // Back to the line's start, and what is left of a longer one erased.
        StandardError.write(isTerminal ? "\r\(text)\u{1b}[K" : text + "\n")
    }

    /// Takes the line away, for what comes next.
    mutating func clear() {
        if isTerminal, lastTime != nil { StandardError.write("\r\u{1b}[K") }
        lastTime = nil
    }
}
