// SPDX-License-Identifier: Apache-2.0
//
// Calculations with power series, by goroutines that ask each other for terms: many channels, selects and goroutines for
// little arithmetic. The benchmarks measure it beside its twin in Go, and the tests run it.

private let termCount = 12

/// Calculates the first terms of several series, and calls `fail` where one is not that of its closed form.
public func calculatePowerSeries(fail: (String) -> Void) {
    func expect(_ name: String, _ series: Series, _ term: (Int) -> Rational) {
        for exponent in 0..<termCount where series.get() != term(exponent) {
            fail("wrong term \(exponent) in the \(name)")
        }
        series.stop()
    }
    func whole(_ number: Int) -> Rational { Rational(Int64(number)) }
    func over(_ numerator: Int, _ denominator: Int) -> Rational { Rational(Int64(numerator), Int64(denominator)) }
    func ones() -> Series { .constant(.one) }
    func twos() -> Series { .constant(whole(2)) }
    func arcTangent() -> Series { .integral(.zero, .substituteMonomial(ones(), -.one, 2)) }

    expect("sum", ones() + twos()) { _ in whole(3) }
    expect("difference", ones() - twos()) { _ in whole(-1) }
    expect("derivative", .derivative(ones())) { n in whole(n + 1) }
    expect("integral", .integral(.zero, ones())) { n in over(min(n, 1), max(n, 1)) }
    expect("product", ones() * ones()) { n in whole(n + 1) }
    expect("reciprocal", .reciprocal(ones())) { n in whole([1, -1, 0][min(n, 2)]) }

    // exp(x/(1-x)): the number of sets of lists, over n! (OEIS A000262).
    var lists = [1, 1]
    var factorials = [1, 1]
    for n in 2..<termCount {
        lists.append((2 * n - 1) * lists[n - 1] - (n - 1) * (n - 2) * lists[n - 2])
        factorials.append(n * factorials[n - 1])
    }
    expect("exponential", .exponential(ones())) { n in over(lists[n], factorials[n]) }

    expect("arc tangent", arcTangent()) { n in n % 2 == 0 ? .zero : over(n % 4 == 1 ? 1 : -1, n) }
    let tangent = [over(1, 1), over(1, 3), over(2, 15), over(17, 315), over(62, 2835), over(1382, 155925)]
    expect("tangent", .reversion(arcTangent())) { n in n % 2 == 0 ? .zero : tangent[n / 2] }
}
