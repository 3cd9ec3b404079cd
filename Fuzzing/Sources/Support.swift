// SPDX-License-Identifier: Apache-2.0
//
// What the targets share. A target is built together with the sources that it tests, as one module: see `run`.

/// Ends the run with a finding.
func require(_ condition: Bool, _ what: @autoclosure () -> String) {
    if !condition { fatalError("found: \(what())") }
}

/// Places to cut the input at: always the same ones for the same input, so that a finding comes again.
func cuts(of bytes: [UInt8], count: Int) -> [Int] {
    var state: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    var cuts: [Int] = []
    for _ in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        cuts.append(Int(state >> 33) % (bytes.count + 1))
    }
    return cuts.sorted()
}

/// The input of a run.
func input(_ start: UnsafePointer<UInt8>, _ count: Int) -> [UInt8] {
    unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
}
