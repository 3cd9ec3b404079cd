// SPDX-License-Identifier: Apache-2.0
//
// Dates: reading the three forms, and writing what is read.

import Testing

@testable import ApusHTTP

@Suite("HTTPDate, reading")
struct HTTPDateParsingTests {
    /// 2026-11-24.
    private static let now = HTTPDate(unixSeconds: 1_795_478_400)

    @Test(
        "Three forms of a date",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Wed Nov 16 08:49:37 1994", 784_975_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600), ("Thu, 29 Feb 2024 23:59:60 GMT", 1_709_251_200),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799), ("Mon, 01 Jan 0001 00:00:00 GMT", -62_135_596_800),
            // The day of the week is not looked up.
            ("Mon, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            // Two digits: at most 50 years ahead.
            ("Tuesday, 24-Nov-76 00:00:00 GMT", 3_373_401_600), ("Thursday, 24-Nov-77 00:00:00 GMT", 249_177_600),
            ("Saturday, 01-Jan-00 00:00:00 GMT", 946_684_800),
        ])
    func forms(text: String, seconds: Int64) {
        #expect(HTTPDate(text, now: Self.now)?.unixSeconds == seconds)
    }

    @Test(
        "What is no date",
        arguments: [
            "", "0", "784111777", "Sun", "Sun,", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 gmt",
            "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT", "Sunday Nov  6 08:49:37 1994", "Sun Nov 6 08:49:37 1994",
            "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sün, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Su, 06 Nov 1994 08:49:37 GMT",
        ])
    func malformed(text: String) {
        #expect(HTTPDate(text, now: Self.now) == nil)
    }

    @Test("What is written is read again")
    func roundTrip() {
        var random = SplitMix(seed: 7)
        for _ in 0..<20_000 {
            let date = HTTPDate(unixSeconds: Int64.random(in: -62_135_596_800...253_402_300_799, using: &random))
            #expect(HTTPDate(date.description, now: Self.now) == date)
        }
    }
}
