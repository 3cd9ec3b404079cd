// SPDX-License-Identifier: Apache-2.0
//
// Durations as Go writes them: `1h10m`, `1.5s`, `300ms`.

/// Reading and writing durations of the command line and of reports.
public enum TestDuration {
    /// Reads `10m`, `1h30m`, `1.5s`, `300ms`, `0`. `nil` when it is none, negative, or longer than a century.
    public static func parse(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        var rest = Substring(text)
        if rest.first == "+" { rest.removeFirst() }
        guard !rest.isEmpty else { return nil }
        var seconds = 0.0
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let value = Double(number), number.first != ".", number.last != "." else { return nil }
            rest = rest.dropFirst(number.count)
            let name = rest.prefix { !($0.isNumber || $0 == ".") }
            guard let unit = units[String(name)] else { return nil }
            rest = rest.dropFirst(name.count)
            seconds += value * unit
        }
        guard seconds <= 100 * 365 * 86_400 else { return nil }
        return .seconds(seconds)
    }

    private static let units: [String: Double] = [
        "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600,
    ]

    /// `1h10m0s`, `5s`, `1.5s`, `300ms`.
    public static func text(_ duration: Duration) -> String {
        let seconds = duration / .seconds(1)
        if seconds == 0 { return "0s" }
        if seconds < 1 { return trimmed(seconds * 1000) + "ms" }
        let whole = Int(seconds)
        var text = ""
        if whole >= 3600 { text += "\(whole / 3600)h" }
        if whole >= 60 { text += "\(whole / 60 % 60)m" }
        return text + trimmed(seconds - Double(whole / 60 * 60)) + "s"
    }

    /// Seconds with so many digits behind the point: `0.21`.
    public static func seconds(_ seconds: Double, digits: Int) -> String { fixed(max(0, seconds), digits: digits) }

    private static func trimmed(_ value: Double) -> String {
        var text = fixed(value, digits: 3)
        while text.last == "0" { text.removeLast() }
        if text.last == "." { text.removeLast() }
        return text
    }

    /// A number with so many digits behind the point, rounded.
    static func fixed(_ value: Double, digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (value * scale).rounded()
        guard scaled.magnitude < 9e15 else { return String(value) }
        let number = Int(scaled)
        let sign = number < 0 ? "-" : ""
        let text = String(number.magnitude)
        if digits == 0 { return sign + text }
        let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
        return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
    }
}
