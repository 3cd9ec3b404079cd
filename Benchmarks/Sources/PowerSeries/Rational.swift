// SPDX-License-Identifier: Apache-2.0

/// A coefficient of a power series: a fraction in its lowest terms, or, with a denominator of zero, the mark that stands
/// behind a series' last term. What is calculated with the mark is the mark.
struct Rational: Hashable {
    let numerator: Int64
    let denominator: Int64

    static let endMark = Rational(lowestTerms: 0, 0)
    static let zero = Rational(lowestTerms: 0, 1)
    static let one = Rational(lowestTerms: 1, 1)

    private init(lowestTerms numerator: Int64, _ denominator: Int64) {
        self.numerator = numerator
        self.denominator = denominator
    }

    init(_ numerator: Int64, _ denominator: Int64 = 1) {
        var divisor = greatestCommonDivisor(numerator, denominator)
        if denominator < 0 { divisor = -divisor }
        self.init(lowestTerms: numerator / divisor, denominator / divisor)
    }

    var isEnd: Bool { denominator == 0 }

    var inverse: Rational {
        precondition(numerator != 0, "power-series: the inverse of zero")
        return Rational(denominator, numerator)
    }

    static func + (a: Rational, b: Rational) -> Rational {
        if a.isEnd || b.isEnd { return endMark }
        let divisor = greatestCommonDivisor(a.denominator, b.denominator)
        return Rational(
            a.numerator * (b.denominator / divisor) + b.numerator * (a.denominator / divisor),
            a.denominator / divisor * b.denominator)
    }

    static func * (a: Rational, b: Rational) -> Rational {
        if a.isEnd || b.isEnd { return endMark }
        // Reduced crosswise first, so that the products stay small.
        let first = greatestCommonDivisor(a.numerator, b.denominator)
        let second = greatestCommonDivisor(b.numerator, a.denominator)
        return Rational(
            lowestTerms: a.numerator / first * (b.numerator / second),
            a.denominator / second * (b.denominator / first))
    }

    static prefix func - (a: Rational) -> Rational {
        Rational(lowestTerms: -a.numerator, a.denominator)
    }
}

private func greatestCommonDivisor(_ a: Int64, _ b: Int64) -> Int64 {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return abs(a)
}
