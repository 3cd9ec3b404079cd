// SPDX-License-Identifier: Apache-2.0

package main

// rational is a coefficient of a power series: a fraction in its lowest terms, or, with a denominator of zero, the mark
// that stands behind a series' last term. What is calculated with the mark is the mark.
type rational struct {
	numerator, denominator int64
}

var (
	endMark = rational{}
	zero    = rational{0, 1}
	one     = rational{1, 1}
)

func ratio(numerator, denominator int64) rational {
	divisor := greatestCommonDivisor(numerator, denominator)
	if denominator < 0 {
		divisor = -divisor
	}
	return rational{numerator / divisor, denominator / divisor}
}

func greatestCommonDivisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}

func (a rational) isEnd() bool {
	return a.denominator == 0
}

func (a rational) plus(b rational) rational {
	if a.isEnd() || b.isEnd() {
		return endMark
	}
	divisor := greatestCommonDivisor(a.denominator, b.denominator)
	return ratio(
		a.numerator*(b.denominator/divisor)+b.numerator*(a.denominator/divisor),
		a.denominator/divisor*b.denominator)
}

func (a rational) times(b rational) rational {
	if a.isEnd() || b.isEnd() {
		return endMark
	}
	// Reduced crosswise first, so that the products stay small.
	first := greatestCommonDivisor(a.numerator, b.denominator)
	second := greatestCommonDivisor(b.numerator, a.denominator)
	return rational{
		a.numerator / first * (b.numerator / second),
		a.denominator / second * (b.denominator / first),
	}
}

func (a rational) negated() rational {
	return rational{-a.numerator, a.denominator}
}

func (a rational) inverse() rational {
	check(a.numerator != 0, "power-series: the inverse of zero")
	return ratio(a.denominator, a.numerator)
}
