// SPDX-License-Identifier: Apache-2.0
//
// What goes on, in one line on standard error: written over and over on a terminal, once a second elsewhere.

import Apus
import Foundation

struct ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var lastShown: ContinuousClock.Instant?
    private var isOnScreen = false

    mutating func show(_ text: String) {
        let now = ContinuousClock.now
        if let lastShown, now - lastShown < (isTerminal ? .milliseconds(100) : .seconds(1)) { return }
        lastShown = now
        // Back to the line's start, and what is left of a longer one erased.
        StandardError.write(isTerminal ? "\r\(text)\u{1b}[K" : text + "\n")
        isOnScreen = isTerminal
    }

    /// Makes room for what comes next.
    mutating func clear() {
        if isOnScreen { StandardError.write("\r\u{1b}[K") }
        isOnScreen = false
        lastShown = nil
    }
}
