// SPDX-License-Identifier: Apache-2.0
//
// Which sanitizer this build has, and how a test says that it wants none.

import CApus
import Testing

/// What the tests, and the programs that they start, were built with.
enum Built {
    static var withThreadSanitizer: Bool { apus_sanitizer_kind() == apus_sanitizer_thread }
    static var withAddressSanitizer: Bool { apus_sanitizer_kind() == apus_sanitizer_address }
    static var withSanitizer: Bool { apus_sanitizer_kind() != apus_sanitizer_none }
}

extension Trait where Self == ConditionTrait {
    /// Skips a test in builds with a sanitizer, for a reason that is said.
    static func notUnderSanitizers(_ reason: Comment) -> Self { .disabled(if: Built.withSanitizer, reason) }

    /// Skips a test in builds with the thread sanitizer, for a reason that is said.
    static func notUnderThreadSanitizer(_ reason: Comment) -> Self {
        .disabled(if: Built.withThreadSanitizer, reason)
    }

    /// Skips a test in builds with the address sanitizer, for a reason that is said.
    static func notUnderAddressSanitizer(_ reason: Comment) -> Self {
        .disabled(if: Built.withAddressSanitizer, reason)
    }
}
