// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C, and the polite request to end (SIGTERM): the run stops, and shows what it has found so far.

import Foundation
import Synchronization

enum Interruption {
    private static let received = Atomic<Int32>(0)

    /// The signal that asked us to stop, if one did.
    static var signal: Int32? {
        let number = received.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }

    static func watch() {
        // The first use of a static variable initialises it, which a signal handler must not.
        _ = signal
        for number in [SIGINT, SIGTERM] {
            Foundation.signal(number) { number in
                // A store is all that is safe here. A second Ctrl-C ends the program the hard way.
                Interruption.received.store(number, ordering: .relaxed)
                Foundation.signal(number, SIG_DFL)
            }
        }
    }
}
