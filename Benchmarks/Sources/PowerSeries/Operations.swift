// SPDX-License-Identifier: Apache-2.0

extension Series {
    /// c + cx + cx² + ...
    static func constant(_ c: Rational) -> Series {
        produce { out in
            while out.put(c) {}
        }
    }

    /// U + V; where one ends, the other goes on.
    static func + (u: Series, v: Series) -> Series {
        produce { out in
            while out.isAsked() {
                let (a, b) = getBoth(u, v)
                if a.isEnd {
                    out.answer(b)
                    u.stop()
                    return out.putAll(v)
                }
                if b.isEnd {
                    out.answer(a)
                    v.stop()
                    return out.putAll(u)
                }
                out.answer(a + b)
            }
            u.stop()
            v.stop()
        }
    }

    /// cU.
    static func * (c: Rational, u: Series) -> Series {
        produce { out in
            while out.isAsked() { out.answer(c * u.get()) }
            u.stop()
        }
    }

    static func - (u: Series, v: Series) -> Series { u + -Rational.one * v }

    /// c + xU.
    static func shift(_ c: Rational, _ u: Series) -> Series {
        produce { out in
            if out.put(c) { out.putAll(u) } else { u.stop() }
        }
    }

    /// UV. With U = u + xU' and V = v + xV' that is uv + x(uV' + vU') + x²U'V'.
    static func * (u: Series, v: Series) -> Series {
        produce { out in
            guard out.isAsked() else {
                u.stop()
                return v.stop()
            }
            let (a, b) = getBoth(u, v)
            out.answer(a * b)
            if a.isEnd || b.isEnd {
                u.stop()
                v.stop()
                return out.finish()
            }
            let (u1, u2) = split(u)
            let (v1, v2) = split(v)
            let cross = a * v1 + b * u1
            guard out.isAsked() else {
                cross.stop()
                u2.stop()
                return v2.stop()
            }
            out.answer(cross.get())
            out.putAll(cross + u2 * v2)
        }
    }

    /// U'.
    static func derivative(_ u: Series) -> Series {
        produce { out in
            var exponent: Int64 = 0
            while out.isAsked() {
                if exponent == 0 {
                    _ = u.get()
                    exponent = 1
                }
                out.answer(Rational(exponent) * u.get())
                exponent += 1
            }
            u.stop()
        }
    }

    /// c + the integral of U.
    static func integral(_ c: Rational, _ u: Series) -> Series {
        produce { out in
            if out.put(c) {
                var exponent: Int64 = 1
                while out.isAsked() {
                    out.answer(Rational(1, exponent) * u.get())
                    exponent += 1
                }
            }
            u.stop()
        }
    }

    /// Z = 1/U. With U = u + xU' and Z = 1/u + xZ' that is Z' = -1/u U'Z.
    static func reciprocal(_ u: Series) -> Series {
        produce { out in
            guard out.isAsked() else { return u.stop() }
            let first = u.get().inverse
            out.answer(first)
            out.putAll(loop { z in (-first * u) * shift(first, z) })
        }
    }

    /// Z = exp(U), for a U whose constant is zero; another constant is ignored. Z' = ZU'.
    static func exponential(_ u: Series) -> Series {
        loop { z in integral(.one, z * derivative(u)) }
    }

    /// U(V), for a V whose constant is zero. With U = u + xU' and V = xV' that is u + xV'U'(V).
    static func substitute(_ u: Series, _ v: Series) -> Series {
        produce { out in
            guard out.isAsked() else {
                u.stop()
                return v.stop()
            }
            let first = u.get()
            out.answer(first)
            if first.isEnd {
                u.stop()
                v.stop()
                return out.finish()
            }
            let (v1, v2) = split(v)
            _ = v1.get()
            out.putAll(v1 * substitute(u, v2))
        }
    }

    /// U(cxⁿ).
    static func substituteMonomial(_ u: Series, _ c: Rational, _ n: Int) -> Series {
        produce { out in
            var power = Rational.one
            var index = 0
            while out.isAsked() {
                if index % n == 0 {
                    out.answer(power * u.get())
                    power = power * c
                } else {
                    out.answer(.zero)
                }
                index += 1
            }
            u.stop()
        }
    }

    /// Z with U(Z) = x, for a U whose constant is zero. With U = xU' and Z = xW that is W = 1/U'(xW).
    static func reversion(_ u: Series) -> Series {
        produce { out in
            guard out.put(.zero) else { return u.stop() }
            _ = u.get()
            out.putAll(loop { w in reciprocal(substitute(u, shift(.zero, w))) })
        }
    }
}
