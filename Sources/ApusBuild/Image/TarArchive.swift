// SPDX-License-Identifier: Apache-2.0
//
// The tar format of POSIX (ustar, with pax records where ustar's fields are too small), as far as images need it. Bytes
// depend on names and contents alone: the time is given, users have no names.

/// Headers and padding of a tar archive; the contents are the caller's to write between them.
public enum TarArchive {
    public static let blockSize = 512

    /// What an archive says of one entry.
    public struct Header: Sendable, Equatable {
        public enum Kind: UInt8, Sendable {
            case file = 0x30
            case symbolicLink = 0x32
            case folder = 0x35
        }

        /// Without a leading slash. A folder's gets a slash at its end by itself.
        public var path: String
        public var kind: Kind
        public var permissions: UInt16
        public var owner: UInt32
        /// Bytes of content; 0 for what is not a file.
        public var size: Int
        /// Seconds since 1970.
        public var time: Int
        public var linkTarget: String

        public init(
            path: String, kind: Kind, permissions: UInt16, owner: UInt32 = 0, size: Int = 0, time: Int = 0,
            linkTarget: String = ""
        ) {
            self.path = path
            self.kind = kind
            self.permissions = permissions
            self.owner = owner
            self.size = size
            self.time = time
            self.linkTarget = linkTarget
        }
    }

    /// The blocks in front of an entry's content.
    public static func bytes(of header: Header) -> [UInt8] {
        let path = Array((header.kind == .folder ? header.path + "/" : header.path).utf8)
        let target = Array(header.linkTarget.utf8)
        var records: [UInt8] = []
        let split = splitPath(path)
        if split == nil { records += record("path", path) }
        if target.count > 100 { records += record("linkpath", target) }
        if header.size > maximum(ofDigits: 11) { records += record("size", Array(String(header.size).utf8)) }
        if header.owner > maximum(ofDigits: 7) {
            let number = Array(String(header.owner).utf8)
            records += record("uid", number) + record("gid", number)
        }

        var result: [UInt8] = []
        if !records.isEmpty {
            let name = Array("PaxHeaders/".utf8 + path.suffix(60))
            result += block(
                name: name, prefix: [], header: Header(path: "", kind: .file, permissions: 0o644, size: records.count),
                typeFlag: UInt8(ascii: "x"), time: header.time)
            result += records + padding(after: records.count)
        }
        result += block(
            name: split?.name ?? Array(path.suffix(100)), prefix: split?.prefix ?? [], header: header,
            typeFlag: header.kind.rawValue, time: header.time)
        return result
    }

    /// The zeros that fill the last block of a content.
    public static func padding(after size: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: (blockSize - size % blockSize) % blockSize)
    }

    /// The end of an archive.
    public static let end = [UInt8](repeating: 0, count: 2 * blockSize)

    /// Into the two fields of ustar: at most 100 bytes, or 155 and 100 around a slash. `nil`: it does not fit.
    private static func splitPath(_ path: [UInt8]) -> (prefix: [UInt8], name: [UInt8])? {
        if path.count <= 100 { return ([], path) }
        // The last slash that leaves a name of at most 100 bytes is not needed: the first one that does leaves the
        // shortest prefix, and a folder's own slash at the end is none to split at.
        guard let slash = path[(path.count - 101)..<(path.count - 1)].firstIndex(of: UInt8(ascii: "/")), slash <= 155,
            slash > 0
        else { return nil }
        return (Array(path[..<slash]), Array(path[(slash + 1)...]))
    }

    /// A pax record: its length in decimal, itself counted, a space, `key=value`, a newline.
    private static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let rest = Array(" \(key)=".utf8) + value + [UInt8(ascii: "\n")]
        var length = rest.count
        while String(length).utf8.count + rest.count != length { length = String(length).utf8.count + rest.count }
        return Array(String(length).utf8) + rest
    }

    private static func maximum(ofDigits digits: Int) -> Int { (1 << (3 * digits)) - 1 }

    private static func block(
        name: [UInt8], prefix: [UInt8], header: Header, typeFlag: UInt8, time: Int
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: blockSize)
        func put(_ bytes: some Sequence<UInt8>, at offset: Int) {
            for (index, byte) in bytes.enumerated() { block[offset + index] = byte }
        }
        func number(_ value: Int, digits: Int, at offset: Int) {
            // A value that does not fit stands in a pax record, which counts; here stands 0.
            let text = String(value > maximum(ofDigits: digits) ? 0 : value, radix: 8)
            put([UInt8](repeating: UInt8(ascii: "0"), count: digits - text.utf8.count) + Array(text.utf8), at: offset)
        }
        put(name, at: 0)
        number(Int(header.permissions & 0o7777), digits: 7, at: 100)
        number(Int(header.owner), digits: 7, at: 108)
        number(Int(header.owner), digits: 7, at: 116)
        number(header.size, digits: 11, at: 124)
        number(max(time, 0), digits: 11, at: 136)
        block[156] = typeFlag
        put(Array(header.linkTarget.utf8).prefix(100), at: 157)
        put("ustar\u{0}00".utf8, at: 257)
        number(0, digits: 7, at: 329)
        number(0, digits: 7, at: 337)
        put(prefix, at: 345)
        // The sum of all bytes, with spaces in its own place.
        put([UInt8](repeating: UInt8(ascii: " "), count: 8), at: 148)
        number(block.reduce(0) { $0 + Int($1) }, digits: 6, at: 148)
        block[154] = 0
        return block
    }
}
