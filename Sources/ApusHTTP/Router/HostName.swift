// SPDX-License-Identifier: Apache-2.0
//
// The host of an authority, as routes compare it.

enum HostName {
    /// How many bytes of an authority are its host: `example.com` of `example.com:8080`, `[::1]` of `[::1]:8080`.
    static func countWithoutPort(_ authority: Span<UInt8>) -> Int {
        var position = authority.count
        while position > 0 {
            position -= 1
            switch authority[position] {
            case .colon: return position
            // A colon inside brackets belongs to the address.
            case UInt8(ascii: "]"): return authority.count
            default: break
            }
        }
        return authority.count
    }

    /// Whether two hosts are the same, whatever their case. The first one is in lower case.
    static func matches(_ host: [UInt8], _ other: Span<UInt8>) -> Bool {
        guard host.count == other.count else { return false }
        for index in host.indices where host[index] != other[index].lowercasedLetter { return false }
        return true
    }
}
