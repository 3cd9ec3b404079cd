// SPDX-License-Identifier: Apache-2.0
//
// Callers' mistakes and broken promises of the system stop the program with one sentence.

import CApus

/// Stops the program after writing `apus: ` and the sentence to standard error, and then where the caller stands.
///
/// Used where a caller broke a rule of the API: the sentence says which, and how to mend it.
@inline(never)
package func fail(_ sentence: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    // First the sentence by itself, whatever comes of the rest.
    writeError("apus: \(sentence)\n")
    writeError(Whereabouts.describe(from: apus_frame_pointer()))
    endTrace()
    apus_abort()
}

/// Writes to standard error, unbuffered.
package func writeError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
        guard let base = bytes.baseAddress else { return }
        unsafe base.withMemoryRebound(to: CChar.self, capacity: bytes.count) { characters in
            unsafe apus_write_error(characters, bytes.count)
        }
    }
}
