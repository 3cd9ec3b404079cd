// SPDX-License-Identifier: Apache-2.0
//
// Where a simulation may let another goroutine run. Elsewhere this costs one look at a counter, in the user's module too:
// therefore the import is public.

public import CApus

/// To be called where another goroutine might come in between, by whoever holds nothing that blocks threads. In a
/// simulation it may then be another's turn.
@inlinable
@inline(__always)
func schedulingPoint() {
    // A simulation has a manual clock.
    if apus_has_manual_clocks() { passSchedulingPoint() }
}

@usableFromInline
@inline(never)
func passSchedulingPoint() {
    Simulation.current?.passPoint()
}
