// SPDX-License-Identifier: Apache-2.0
//
// /etc/hosts, parsed: an address and its names on each line, `#` before a remark. Lines that are not like that are passed
// over.

/// What a hosts file says.
package struct HostsFile: Sendable {
    /// In the order of the file. Keys are in lower case.
    private var addressesByName: [String: [IPAddress]] = [:]
    private var namesByAddress: [IPAddress: [String]] = [:]

    package init() {}

    package init(parsing bytes: [UInt8]) {
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let words = line.prefix { $0 != UInt8(ascii: "#") }
                .split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
            guard let first = words.first, let ip = IPAddress(utf8: first) else { continue }
            for word in words.dropFirst() {
                let name = String(decoding: word, as: UTF8.self)
                let key = Self.key(name)
                // An entry once more changes nothing.
                if addressesByName[key]?.contains(ip) != true {
                    addressesByName[key, default: []].append(ip)
                    namesByAddress[ip, default: []].append(name)
                }
            }
        }
    }

    package func addresses(of name: String) -> [IPAddress] { addressesByName[Self.key(name)] ?? [] }

    package func names(of ip: IPAddress) -> [String] { namesByAddress[ip] ?? [] }

    private static func key(_ name: String) -> String {
        let name = name.lowercased()
        return name.last == "." ? String(name.dropLast()) : name
    }
}
