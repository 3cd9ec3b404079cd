// SPDX-License-Identifier: Apache-2.0
//
// Reading dates in the three forms that HTTP has had (RFC 9110, section 5.6.7):
//
//   Sun, 06 Nov 1994 08:49:37 GMT      what everybody sends
//   Sunday, 06-Nov-94 08:49:37 GMT     RFC 850
//   Sun Nov  6 08:49:37 1994           asctime

extension HTTPDate {
    /// Reads a date; `nil` if the text is none. Its day of the week must be one, but not the right one.
    ///
    /// - Parameter now: Two digits of a year mean the one that is at most 50 years ahead of it.
    package init?(_ text: some StringProtocol, now: HTTPDate) {
        var reader = DateReader(text: Array(text.utf8))
        guard let seconds = reader.date(now: now) else { return nil }
        self.init(unixSeconds: seconds)
    }

    /// The days from 1970-01-01 to a date of the Gregorian calendar.
    fileprivate static func days(year: Int, month: Int, day: Int) -> Int {
        // Years begin in March here, so that the leap day is a year's last. An era has 400 years.
        let year = month < 3 ? year - 1 : year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month < 3 ? month + 9 : month - 3) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    fileprivate static func daysOfMonth(_ month: Int, year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    fileprivate var year: Int {
        // The year of the day before was at most the same, that of the day after at least.
        var year = 1970 + Int(unixSeconds) / 31_556_952
        let day = Int((Double(unixSeconds) / 86_400).rounded(.down))
        while Self.days(year: year, month: 1, day: 1) > day { year -= 1 }
        while Self.days(year: year + 1, month: 1, day: 1) <= day { year += 1 }
        return year
    }
}

/// What is left of a date's text. Every step takes its part, or answers `nil`.
private struct DateReader {
    private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private var text: ArraySlice<UInt8>

    init(text: [UInt8]) { self.text = text[...] }

    mutating func date(now: HTTPDate) -> Int64? {
        let name = String(decoding: text.prefix { $0 != .space && $0 != UInt8(ascii: ",") }, as: UTF8.self)
        text = text.dropFirst(name.utf8.count)
        let isShort = name.utf8.count == 3
        guard Self.weekdays.contains(where: { isShort ? $0.prefix(3) == name : $0 == name }) else { return nil }
        let seconds: Int64?
        if !take(",") {
            seconds = isShort ? asctime() : nil
        } else if isShort {
            seconds = fixed()
        } else {
            seconds = rfc850(now: now)
        }
        return text.isEmpty ? seconds : nil
    }

    private mutating func fixed() -> Int64? {
        guard take(" "), let day = number(2), take(" "), let month = month(), take(" "), let year = number(4),
            take(" "), let time = time(), take(" GMT")
        else { return nil }
        return Self.seconds(year, month, day, time)
    }

    private mutating func rfc850(now: HTTPDate) -> Int64? {
        guard take(" "), let day = number(2), take("-"), let month = month(), take("-"), let short = number(2),
            take(" "), let time = time(), take(" GMT")
        else { return nil }
        let thisYear = now.year
        var year = thisYear - thisYear % 100 + short
        if year < thisYear - 49 { year += 100 }
        if year > thisYear + 50 { year -= 100 }
        return Self.seconds(year, month, day, time)
    }

    private mutating func asctime() -> Int64? {
        guard take(" "), let month = month(), take(" "), let day = take(" ") ? number(1) : number(2), take(" "),
            let time = time(), take(" "), let year = number(4)
        else { return nil }
        return Self.seconds(year, month, day, time)
    }

    private mutating func time() -> Int? {
        guard let hour = number(2), take(":"), let minute = number(2), take(":"), let second = number(2), hour < 24,
            // A leap second is counted as the one after it.
            minute < 60, second <= 60
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }

    private mutating func month() -> Int? {
        guard let index = Self.months.firstIndex(where: { text.starts(with: $0.utf8) }) else { return nil }
        text = text.dropFirst(3)
        return index + 1
    }

    private mutating func number(_ count: Int) -> Int? {
        guard text.count >= count else { return nil }
        var value = 0
        for byte in text.prefix(count) {
            guard let digit = byte.decimalDigit else { return nil }
            value = value * 10 + Int(digit)
        }
        text = text.dropFirst(count)
        return value
    }

    private mutating func take(_ expected: String) -> Bool {
        guard text.starts(with: expected.utf8) else { return false }
        text = text.dropFirst(expected.utf8.count)
        return true
    }

    private static func seconds(_ year: Int, _ month: Int, _ day: Int, _ time: Int) -> Int64? {
        guard day >= 1, day <= HTTPDate.daysOfMonth(month, year: year) else { return nil }
        return Int64(HTTPDate.days(year: year, month: month, day: day) * 86_400 + time)
    }
}
