// SPDX-License-Identifier: Apache-2.0
//
// Dates as HTTP writes them (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.

/// A point in time as HTTP knows it: to the second, in UTC.
package struct HTTPDate: Hashable, Sendable {
    package let unixSeconds: Int64

    package init(unixSeconds: Int64) {
        self.unixSeconds = unixSeconds
    }
}

extension HTTPDate: CustomStringConvertible {
    package var description: String {
        let days = Int(unixSeconds.flooredDivision(by: 86_400))
        let second = Int(unixSeconds - Int64(days) * 86_400)
        // Years begin in March here, so that the leap day is a year's last. An era has 400 years.
        let shifted = days + 719_468
        let era = shifted.flooredDivision(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let calendarMonth = month < 10 ? month + 2 : month - 10
        let year = yearOfEra + era * 400 + (calendarMonth < 2 ? 1 : 0)
        let weekday = (days + 4) - (days + 4).flooredDivision(by: 7) * 7
        return "\(Self.weekdays[weekday]), \(Self.digits(day)) \(Self.months[calendarMonth]) \(Self.digits(year, 4)) "
            + "\(Self.digits(second / 3600)):\(Self.digits(second / 60 % 60)):\(Self.digits(second % 60)) GMT"
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func digits(_ number: Int, _ count: Int = 2) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }
}

extension BinaryInteger {
    fileprivate func flooredDivision(by divisor: Self) -> Self {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
