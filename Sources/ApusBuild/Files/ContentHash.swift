// SPDX-License-Identifier: Apache-2.0
//
// Keys by content: SHA-256 of bytes and files. File times never decide anything.

internal import Crypto
internal import FoundationEssentials
public import SystemPackage

/// Collects what a result depends on, and says its hash.
///
/// Every part has a label and a length, so that two different lists of parts are never the same bytes.
public struct ContentHash {
    private var hash = SHA256()

    public init() {}

    public mutating func add(_ label: String, _ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        hash.update(data: Array("\(label.utf8.count):\(label)\(bytes.count):".utf8))
        hash.update(data: bytes)
    }

    public mutating func add(_ label: String, _ text: String) { add(label, text.utf8) }

    /// The content of a file. One that is not there counts as such: its appearing changes the hash.
    public mutating func add(_ label: String, contentsOf file: FilePath) throws {
        guard let content = try Self.ofFile(file) else { return add(label, "no file") }
        add(label, content)
    }

    /// The hash of all that was added, 64 hexadecimal digits.
    public func finish() -> String { Self.hexadecimal(hash.finalize()) }

    /// The hash of a file's bytes, 64 hexadecimal digits: what `sha256sum` prints. `nil` when there is no such file.
    public static func ofFile(_ file: FilePath) throws -> String? {
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.open(file, .readOnly, options: .closeOnExec)
        } catch Errno.noSuchFileOrDirectory {
            return nil
        } catch {
            throw ToolError("cannot read \(file): \(error)", status: .noInput)
        }
        return try descriptor.closeAfter {
            var hash = SHA256()
            try unsafe withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
                while true {
                    let count: Int
                    do { count = try unsafe descriptor.read(into: buffer) } catch {
                        throw ToolError("cannot read \(file): \(error)", status: .noInput)
                    }
                    if count == 0 { return }
                    // SAFETY: the first `count` bytes have just been written, and the hash does not keep the buffer.
                    unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                }
            }
            return hexadecimal(hash.finalize())
        }
    }

    public static func of(_ bytes: some Sequence<UInt8>) -> String { hexadecimal(SHA256.hash(data: Array(bytes))) }

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
