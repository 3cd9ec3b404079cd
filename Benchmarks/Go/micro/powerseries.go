// SPDX-License-Identifier: Apache-2.0

package main

// constant is c + cx + cx² + ...
func constant(c rational) series {
	return produce(func(out series) {
		for out.put(c) {
		}
	})
}

// add is U + V; where one ends, the other goes on.
func add(u, v series) series {
	return produce(func(out series) {
		for out.isAsked() {
			a, b := getBoth(u, v)
			switch {
			case a.isEnd():
				out.term <- b
				u.stop()
				out.putAll(v)
				return
			case b.isEnd():
				out.term <- a
				v.stop()
				out.putAll(u)
				return
			}
			out.term <- a.plus(b)
		}
		u.stop()
		v.stop()
	})
}

// scale is cU.
func scale(c rational, u series) series {
	return produce(func(out series) {
		for out.isAsked() {
			out.term <- c.times(u.get())
		}
		u.stop()
	})
}

func subtract(u, v series) series {
	return add(u, scale(one.negated(), v))
}

// shift is c + xU.
func shift(c rational, u series) series {
	return produce(func(out series) {
		if out.put(c) {
			out.putAll(u)
		} else {
			u.stop()
		}
	})
}

// multiply is UV. With U = u + xU' and V = v + xV' that is uv + x(uV' + vU') + x²U'V'.
func multiply(u, v series) series {
	return produce(func(out series) {
		if !out.isAsked() {
			u.stop()
			v.stop()
			return
		}
		a, b := getBoth(u, v)
		out.term <- a.times(b)
		if a.isEnd() || b.isEnd() {
			u.stop()
			v.stop()
			out.finish()
			return
		}
		u1, u2 := split(u)
		v1, v2 := split(v)
		cross := add(scale(a, v1), scale(b, u1))
		if !out.isAsked() {
			cross.stop()
			u2.stop()
			v2.stop()
			return
		}
		out.term <- cross.get()
		out.putAll(add(cross, multiply(u2, v2)))
	})
}

// differentiate is U'.
func differentiate(u series) series {
	return produce(func(out series) {
		for exponent := int64(0); out.isAsked(); exponent++ {
			if exponent == 0 {
				u.get()
				exponent++
			}
			out.term <- ratio(exponent, 1).times(u.get())
		}
		u.stop()
	})
}

// integrate is c + the integral of U.
func integrate(c rational, u series) series {
	return produce(func(out series) {
		if out.put(c) {
			for exponent := int64(1); out.isAsked(); exponent++ {
				out.term <- ratio(1, exponent).times(u.get())
			}
		}
		u.stop()
	})
}

// reciprocal is Z = 1/U. With U = u + xU' and Z = 1/u + xZ' that is Z' = -1/u U'Z.
func reciprocal(u series) series {
	return produce(func(out series) {
		if !out.isAsked() {
			u.stop()
			return
		}
		first := u.get().inverse()
		out.term <- first
		out.putAll(loop(func(z series) series {
			return multiply(scale(first.negated(), u), shift(first, z))
		}))
	})
}

// exponential is Z = exp(U), for a U whose constant is zero; another constant is ignored. Z' = ZU'.
func exponential(u series) series {
	return loop(func(z series) series {
		return integrate(one, multiply(z, differentiate(u)))
	})
}

// substitute is U(V), for a V whose constant is zero. With U = u + xU' and V = xV' that is u + xV'U'(V).
func substitute(u, v series) series {
	return produce(func(out series) {
		if !out.isAsked() {
			u.stop()
			v.stop()
			return
		}
		first := u.get()
		out.term <- first
		if first.isEnd() {
			u.stop()
			v.stop()
			out.finish()
			return
		}
		v1, v2 := split(v)
		v1.get()
		out.putAll(multiply(v1, substitute(u, v2)))
	})
}

// substituteMonomial is U(cxⁿ).
func substituteMonomial(u series, c rational, n int) series {
	return produce(func(out series) {
		power := one
		for index := 0; out.isAsked(); index++ {
			if index%n == 0 {
				out.term <- power.times(u.get())
				power = power.times(c)
			} else {
				out.term <- zero
			}
		}
		u.stop()
	})
}

// revert is Z with U(Z) = x, for a U whose constant is zero. With U = xU' and Z = xW that is W = 1/U'(xW).
func revert(u series) series {
	return produce(func(out series) {
		if !out.put(zero) {
			u.stop()
			return
		}
		u.get()
		out.putAll(loop(func(w series) series {
			return reciprocal(substitute(u, shift(zero, w)))
		}))
	})
}

// powerSeries calculates the first twelve terms of some series, and checks them against their closed forms; an operation
// is all of them.
func powerSeries() {
	measure("power-series", 1, func(iterations int) {
		for range iterations {
			calculateSeries()
		}
	})
}

func calculateSeries() {
	ones := func() series { return constant(one) }
	twos := func() series { return constant(ratio(2, 1)) }
	arcTangent := func() series { return integrate(zero, substituteMonomial(ones(), one.negated(), 2)) }
	whole := func(number int64) rational { return ratio(number, 1) }

	expect("sum", add(ones(), twos()), func(int64) rational { return whole(3) })
	expect("difference", subtract(ones(), twos()), func(int64) rational { return whole(-1) })
	expect("derivative", differentiate(ones()), func(n int64) rational { return whole(n + 1) })
	expect("integral", integrate(zero, ones()), func(n int64) rational { return ratio(min(n, 1), max(n, 1)) })
	expect("product", multiply(ones(), ones()), func(n int64) rational { return whole(n + 1) })
	expect("reciprocal", reciprocal(ones()), func(n int64) rational {
		return whole([]int64{1, -1, 0}[min(n, 2)])
	})

	// exp(x/(1-x)): the number of sets of lists, over n! (OEIS A000262).
	lists := []int64{1, 1}
	factorials := []int64{1, 1}
	for n := int64(2); n < seriesTerms; n++ {
		lists = append(lists, (2*n-1)*lists[n-1]-(n-1)*(n-2)*lists[n-2])
		factorials = append(factorials, n*factorials[n-1])
	}
	expect("exponential", exponential(ones()), func(n int64) rational { return ratio(lists[n], factorials[n]) })

	expect("arc tangent", arcTangent(), func(n int64) rational {
		return []rational{zero, ratio(1, max(n, 1)), zero, ratio(-1, max(n, 1))}[n%4]
	})
	tangent := []rational{{1, 1}, {1, 3}, {2, 15}, {17, 315}, {62, 2835}, {1382, 155925}}
	expect("tangent", revert(arcTangent()), func(n int64) rational {
		if n%2 == 0 {
			return zero
		}
		return tangent[n/2]
	})
}

const seriesTerms = 12

func expect(name string, s series, term func(exponent int64) rational) {
	for exponent := range int64(seriesTerms) {
		check(s.get() == term(exponent), "power-series: wrong term in the "+name)
	}
	s.stop()
}
