// SPDX-License-Identifier: Apache-2.0
//
// Pushing a layout: blobs first, several at a time, then the manifests that name them; what is there already is not
// sent. The tag comes last but for what is attached, so nobody can pull half an image.

internal import SystemPackage

extension ImageLayout {
    /// Puts the image into a registry.
    ///
    /// - Parameter allowsPlainHTTP: Without encryption, which is otherwise allowed to this machine's own registries only.
    /// - Throws: `ToolError` that names the registry and what it has refused.
    public func push(
        to reference: ImageReference, allowsPlainHTTP: Bool, _ invocation: Invocation
    ) async throws {
        let registry = try Registry(reference, allowsPlainHTTP: allowsPlainHTTP, invocation)
        try await registry.open()
        try await withThrowingTaskGroup(of: Void.self) { group in
            var waiting = blobs[...]
            func start() {
                guard let blob = waiting.popFirst() else { return }
                group.addTask {
                    invocation.console.progress("pushing \(blob.digest) (\(blob.size) bytes)")
                    let isNew = try await registry.putBlob(store.file(of: blob.digest), digest: blob.digest)
                    invocation.console.detail(
                        "\(blob.digest) \(isNew ? "sent" : "is there already") (\(blob.size) bytes)")
                }
            }
            for _ in 0..<4 { start() }
            while try await group.next() != nil { start() }
        }
        for manifest in manifests {
            let bytes = try Files.read(store.file(of: manifest.digest))
            let isTagged = manifest.digest == image.digest
            let knowsSubject = try await registry.putManifest(
                bytes, mediaType: manifest.mediaType, as: isTagged ? reference.tag : "\(manifest.digest)")
            if manifest.digest == attachment?.manifest.digest, !knowsSubject {
                try await list(manifest, in: registry)
            }
        }
        invocation.console.clearProgress()
    }

    /// For registries that do not know of attachments: an index under a tag made of the image's digest lists them.
    private func list(_ attached: Descriptor, in registry: Registry) async throws {
        let tag = "sha256-\(image.digest.hexadecimal)"
        var index = try await registry.index(tag) ?? ImageIndex(manifests: [])
        index.manifests.removeAll { $0.digest == attached.digest }
        index.manifests.append(attached)
        try await registry.putManifest(try Documents.encode(index), mediaType: MediaType.index, as: tag)
    }
}
