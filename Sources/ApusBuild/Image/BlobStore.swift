// SPDX-License-Identifier: Apache-2.0
//
// The blobs of an image, in the folder `blobs/sha256` of an OCI layout: each under the hash of its content.

internal import Crypto
public import SystemPackage

/// A folder that is to become an OCI layout.
public struct BlobStore: Sendable {
    /// The layout's own folder.
    public let folder: FilePath

    public init(folder: FilePath) throws {
        self.folder = folder
        try Files.makeFolder(folder.appending("blobs").appending("sha256"))
    }

    /// Where a blob's file is.
    public func file(of digest: Digest) -> FilePath {
        folder.appending("blobs").appending("sha256").appending(digest.hexadecimal)
    }

    /// Adds a document.
    public func add(_ bytes: [UInt8], mediaType: String) throws -> Descriptor {
        let digest = Digest(of: bytes)
        if !Files.exists(file(of: digest)) { try Files.write(bytes, to: file(of: digest)) }
        return Descriptor(mediaType: mediaType, digest: digest, size: bytes.count)
    }

    /// Adds a layer: a tar archive of the tree, compressed.
    ///
    /// - Returns: The layer, and the digest of the archive before it was compressed, which the image's configuration names.
    public func addLayer(_ tree: LayerTree, time: Int) throws -> (layer: Descriptor, uncompressed: Digest) {
        let unfinished = folder.appending("layer.\(UInt64.random(in: .min ... .max))")
        var archive = SHA256()
        var compressed = SHA256()
        var size = 0
        do {
            let descriptor = try Files.create(unfinished)
            try descriptor.closeAfter {
                var gzip = try GzipCompressor()
                let write: (Span<UInt8>) throws -> Void = { bytes in
                    unsafe bytes.withUnsafeBytes { unsafe compressed.update(bufferPointer: $0) }
                    size += bytes.count
                    try Files.writeAll(bytes, to: descriptor, named: unfinished)
                }
                try Self.archive(tree, time: time) { bytes in
                    unsafe bytes.withUnsafeBytes { unsafe archive.update(bufferPointer: $0) }
                    try gzip.compress(bytes, into: write)
                }
                try gzip.finish(into: write)
            }
            let digest = Digest(compressed.finalize())
            try Files.move(unfinished, to: file(of: digest))
            return (
                Descriptor(mediaType: MediaType.layer, digest: digest, size: size), Digest(archive.finalize())
            )
        } catch {
            try? Files.remove(unfinished)
            throw error
        }
    }

    /// Writes a tree as a tar archive.
    static func archive(_ tree: LayerTree, time: Int, into sink: (Span<UInt8>) throws -> Void) throws {
        for (path, entry) in tree.sorted {
            var header = TarArchive.Header(
                path: path, kind: .file, permissions: entry.permissions, owner: entry.owner, time: time)
            switch entry.kind {
            case .folder:
                header.kind = .folder
                try sink(TarArchive.bytes(of: header).span)
            case .symbolicLink(let target):
                header.kind = .symbolicLink
                header.linkTarget = target
                try sink(TarArchive.bytes(of: header).span)
            case .bytes(let content):
                header.size = content.count
                try sink(TarArchive.bytes(of: header).span)
                let bytes = content
                try sink(bytes.span)
                try sink(TarArchive.padding(after: content.count).span)
            case .file(let file):
                try addFile(file, header: header, into: sink)
            }
        }
        let end = TarArchive.end
        try sink(end.span)
    }

    static func addFile(
        _ file: FilePath, header: TarArchive.Header, into sink: (Span<UInt8>) throws -> Void
    ) throws {
        var header = header
        header.size = try Files.size(of: file)
        try sink(TarArchive.bytes(of: header).span)
        var read = 0
        try Files.readPieces(of: file) { piece in
            read += piece.count
            try sink(piece)
        }
        guard read == header.size else {
            throw ToolError("\(file) was changed while it was read", status: .noInput)
        }
        try sink(TarArchive.padding(after: read).span)
    }
}
