// SPDX-License-Identifier: Apache-2.0
//
// Entity tags, and conditions in the order of RFC 9110, section 13.2.2.

import HTTPTypes
import Testing

@testable import ApusHTTP

@Suite("Preconditions")
struct PreconditionsTests {
    @Test(
        "Lists of tags",
        arguments: [
            (#""a""#, [#""a""#]), (#""a", W/"b" ,, "c""#, [#""a""#, #"W/"b""#, #""c""#]), (#""""#, [#""""#]),
            (#""a,b""#, [#""a,b""#]), (#" , "a""#, [#""a""#]), ("", []), ("a", []), (#""a"#, []), (#"w/"a""#, []),
            (#""a b""#, []), (#""ä""#, [#""ä""#]), (#""a", b, "c""#, [#""a""#]), (#"W/ "a""#, []),
        ])
    func lists(text: String, tags: [String]) {
        var found: [String] = []
        let any = EntityTag.list(text) {
            found.append("\($0)")
            return false
        }
        #expect(!any)
        #expect(found == tags)
    }

    @Test("A star is every tag")
    func star() {
        #expect(EntityTag.list("*") { _ in false })
        #expect(EntityTag.list(#""a", *"#) { _ in false })
        #expect(EntityTag(#""a""#) == EntityTag(isWeak: false, opaque: #""a""#))
        #expect(EntityTag(#"W/"a" "#) == EntityTag(isWeak: true, opaque: #""a""#))
        for text in ["*", "a", #""a", "b""#, "Sun, 06 Nov 1994 08:49:37 GMT"] { #expect(EntityTag(text) == nil) }
    }

    private static let tag = EntityTag(isWeak: false, opaque: #""now""#)
    /// When the resource was changed.
    private static let modified = "Sun, 06 Nov 1994 08:49:37 GMT"
    private static let before = "Sun, 06 Nov 1994 08:49:36 GMT"
    private static let after = "Sunday, 06-Nov-94 08:49:38 GMT"
    private static let now = HTTPDate(unixSeconds: 784_111_777 + 10)

    private static func evaluate(
        _ conditions: Preconditions, _ method: HTTPRequest.Method = .get, tag: EntityTag? = tag, now: HTTPDate = now
    ) -> Preconditions.Outcome {
        conditions.evaluate(method: method, tag: tag, modified: HTTPDate(modified, now: now), now: now)
    }

    @Test(
        "One condition",
        arguments: [
            (Preconditions(), .proceed(mayUseRange: true)),
            (Preconditions(ifMatch: #""now""#), .proceed(mayUseRange: true)),
            (Preconditions(ifMatch: #""then", "now""#), .proceed(mayUseRange: true)),
            (Preconditions(ifMatch: "*"), .proceed(mayUseRange: true)),
            (Preconditions(ifMatch: #""then""#), .failed), (Preconditions(ifMatch: #"W/"now""#), .failed),
            (Preconditions(ifMatch: ""), .failed), (Preconditions(ifMatch: "nonsense"), .failed),
            (Preconditions(ifUnmodifiedSince: before), .failed),
            (Preconditions(ifUnmodifiedSince: modified), .proceed(mayUseRange: true)),
            (Preconditions(ifUnmodifiedSince: after), .proceed(mayUseRange: true)),
            (Preconditions(ifUnmodifiedSince: "yesterday"), .proceed(mayUseRange: true)),
            (Preconditions(ifNoneMatch: #""now""#), .notModified),
            (Preconditions(ifNoneMatch: #"W/"now""#), .notModified),
            (Preconditions(ifNoneMatch: "*"), .notModified),
            (Preconditions(ifNoneMatch: #""then""#), .proceed(mayUseRange: true)),
            (Preconditions(ifModifiedSince: before), .proceed(mayUseRange: true)),
            (Preconditions(ifModifiedSince: modified), .notModified),
            (Preconditions(ifModifiedSince: after), .notModified),
            (Preconditions(ifModifiedSince: "yesterday"), .proceed(mayUseRange: true)),
            (Preconditions(ifRange: #""now""#), .proceed(mayUseRange: true)),
            (Preconditions(ifRange: #""then""#), .proceed(mayUseRange: false)),
            (Preconditions(ifRange: #"W/"now""#), .proceed(mayUseRange: false)),
            (Preconditions(ifRange: modified), .proceed(mayUseRange: true)),
            (Preconditions(ifRange: after), .proceed(mayUseRange: false)),
            (Preconditions(ifRange: "nonsense"), .proceed(mayUseRange: false)),
        ] as [(Preconditions, Preconditions.Outcome)])
    func single(conditions: Preconditions, outcome: Preconditions.Outcome) {
        #expect(Self.evaluate(conditions) == outcome)
        let forHead = outcome == .proceed(mayUseRange: true) ? .proceed(mayUseRange: false) : outcome
        #expect(Self.evaluate(conditions, .head) == forHead)
    }

    @Test(
        "Several conditions",
        arguments: [
            // A tag goes before a date.
            (Preconditions(ifMatch: #""now""#, ifUnmodifiedSince: before), .proceed(mayUseRange: true)),
            (Preconditions(ifMatch: #""then""#, ifUnmodifiedSince: after), .failed),
            (Preconditions(ifNoneMatch: #""then""#, ifModifiedSince: after), .proceed(mayUseRange: true)),
            (Preconditions(ifNoneMatch: #""now""#, ifModifiedSince: before), .notModified),
            // What must be so goes before what need not be sent.
            (Preconditions(ifMatch: #""then""#, ifNoneMatch: #""now""#), .failed),
            (Preconditions(ifMatch: #""now""#, ifNoneMatch: #""now""#), .notModified),
            (Preconditions(ifUnmodifiedSince: before, ifModifiedSince: after), .failed),
            (Preconditions(ifNoneMatch: #""now""#, ifRange: #""now""#), .notModified),
        ] as [(Preconditions, Preconditions.Outcome)])
    func several(conditions: Preconditions, outcome: Preconditions.Outcome) {
        #expect(Self.evaluate(conditions) == outcome)
    }

    @Test("Other methods than GET and HEAD are refused rather than told that nothing changed")
    func otherMethods() {
        #expect(Self.evaluate(Preconditions(ifNoneMatch: "*"), .put) == .failed)
        #expect(Self.evaluate(Preconditions(ifModifiedSince: Self.after), .put) == .proceed(mayUseRange: false))
    }

    @Test("Without a tag, a star is all that matches")
    func withoutTag() {
        #expect(Self.evaluate(Preconditions(ifMatch: #""now""#), tag: nil) == .failed)
        #expect(Self.evaluate(Preconditions(ifNoneMatch: #""now""#), tag: nil) == .proceed(mayUseRange: true))
        #expect(Self.evaluate(Preconditions(ifRange: #""now""#), tag: nil) == .proceed(mayUseRange: false))
        #expect(Self.evaluate(Preconditions(ifMatch: "*"), tag: nil) == .proceed(mayUseRange: true))
    }

    @Test("The date of what was changed within this second tells nothing of its bytes")
    func sameSecond() {
        let outcome = Self.evaluate(Preconditions(ifRange: Self.modified), now: HTTPDate(unixSeconds: 784_111_777))
        #expect(outcome == .proceed(mayUseRange: false))
    }
}
