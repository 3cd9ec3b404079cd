// SPDX-License-Identifier: Apache-2.0
//
// Dates: what was read in any form reads the same when it is written in the usual one.

@_cdecl("LLVMFuzzerTestOneInput")
public func testDate(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let text = String(decoding: unsafe input(start, count), as: UTF8.self)
    let now = HTTPDate(unixSeconds: 1_800_000_000)
    if let date = HTTPDate(text, now: now) {
        require(HTTPDate(date.description, now: now) == date, "\(text) is not \(date)")
    }
    return 0
}
