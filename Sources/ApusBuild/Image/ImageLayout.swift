// SPDX-License-Identifier: Apache-2.0
//
// An image as a folder of blobs, the OCI layout: what everything else is made from. Written as a folder, as a tar file that is
// an OCI archive and can be loaded by `docker load` too, or pushed (ImagePush.swift).

internal import FoundationEssentials
public import SystemPackage

/// An image that lies in a layout.
public struct ImageLayout: Sendable {
    /// An image's parts for one platform.
    struct Part: Sendable {
        var platform: Platform
        var manifest: Descriptor
        var configuration: Descriptor
        var layers: [Descriptor]
    }

    public let store: BlobStore
    /// The image: a manifest, or the index of several.
    public let image: Descriptor
    let parts: [Part]
    /// The manifest that attaches a bill of materials to the image, and its parts.
    private(set) var attachment: (manifest: Descriptor, blobs: [Descriptor])?

    /// Makes an image in an empty folder.
    ///
    /// - Throws: `ToolError` when something that should be in it is not there, or cannot be.
    public init(_ recipe: ImageRecipe, in folder: FilePath) throws {
        try recipe.validate()
        store = try BlobStore(folder: folder)
        let system = try store.addLayer(try recipe.system.tree(), time: recipe.fileTime)
        var parts: [Part] = []
        for program in recipe.programs {
            let own = try store.addLayer(try recipe.tree(for: program), time: recipe.fileTime)
            let configuration = try store.add(
                Documents.encode(
                    recipe.configuration(for: program.platform, layers: [system.uncompressed, own.uncompressed])),
                mediaType: MediaType.configuration)
            let layers = [system.layer, own.layer]
            let manifest = ImageManifest(config: configuration, layers: layers, annotations: Self.annotations(recipe))
            var descriptor = try store.add(Documents.encode(manifest), mediaType: MediaType.manifest)
            descriptor.platform = .init(program.platform)
            parts.append(
                Part(platform: program.platform, manifest: descriptor, configuration: configuration, layers: layers))
        }
        self.parts = parts
        if parts.count == 1 {
            image = parts[0].manifest
        } else {
            image = try store.add(
                Documents.encode(
                    ImageIndex(manifests: parts.map(\.manifest), annotations: Self.annotations(recipe))),
                mediaType: MediaType.index)
        }
    }

    /// The labels, where registries look for them.
    private static func annotations(_ recipe: ImageRecipe) -> [String: String]? {
        let annotations = recipe.labels.filter { $0.key.hasPrefix("org.opencontainers.image.") }
        return annotations.isEmpty ? nil : annotations
    }

    /// Attaches a document to the image, for pushing: as a manifest of its own that names the image as its subject (a
    /// referrer).
    public mutating func attach(_ document: [UInt8], mediaType: String, created: String) throws {
        let empty = try store.add(Array("{}".utf8), mediaType: MediaType.empty)
        let blob = try store.add(document, mediaType: mediaType)
        let manifest = ImageManifest(
            artifactType: mediaType, config: empty, layers: [blob], subject: image.bare,
            annotations: ["org.opencontainers.image.created": created])
        var descriptor = try store.add(Documents.encode(manifest), mediaType: MediaType.manifest)
        descriptor.artifactType = mediaType
        descriptor.annotations = manifest.annotations
        attachment = (descriptor, [empty, blob])
    }

    /// Writes the two files that make the folder a layout.
    public func finish(_ reference: ImageReference) throws {
        var named = image
        named.annotations = [
            "org.opencontainers.image.ref.name": reference.tag,
            // What containerd, and so `docker load`, calls the image.
            "io.containerd.image.name": reference.description,
        ]
        try Files.write(try Documents.encode(ImageIndex(manifests: [named])), to: store.folder.appending("index.json"))
        try Files.write(try Documents.encode(LayoutMarker()), to: store.folder.appending("oci-layout"))
    }

    /// Puts a copy of the finished layout at a place.
    ///
    /// - Throws: `ToolError` when something is there that is not a layout.
    public func write(toFolder folder: FilePath) throws {
        if Files.exists(folder) {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? ["a file"]
            guard names.isEmpty || Files.exists(folder.appending("oci-layout")) else {
                throw ToolError("\(folder) is there, and is not an image's folder", status: .cannotCreate)
            }
        }
        try Files.copyFolder(store.folder, to: folder)
    }

    /// Writes the finished layout as a tar file.
    ///
    /// - Parameter preferred: For which platform Docker's own file in it is, if it is among them.
    public func write(toArchive file: FilePath, _ reference: ImageReference, preferred: Platform?) throws {
        var tree = LayerTree()
        func add(_ descriptor: Descriptor) throws {
            let path = "blobs/sha256/\(descriptor.digest.hexadecimal)"
            if tree[path] == nil {
                try tree.add(path, .file(store.file(of: descriptor.digest)), permissions: 0o644)
            }
        }
        for blob in blobs + manifests { try add(blob) }
        for name in ["index.json", "oci-layout"] {
            try tree.add(name, .file(store.folder.appending(name)), permissions: 0o644)
        }
        let part = parts.first { $0.platform == preferred } ?? parts[0]
        let docker = DockerManifest(
            configuration: Self.path(of: part.configuration), tags: [Self.shortName(reference)],
            layers: part.layers.map(Self.path))
        try tree.add("manifest.json", .bytes(Documents.encode([docker])), permissions: 0o644)
        try Files.replace(file) { temporary in
            let descriptor = try Files.create(temporary)
            try descriptor.closeAfter {
                try BlobStore.archive(tree, time: 0) { bytes in
                    try Files.writeAll(bytes, to: descriptor, named: file)
                }
            }
        }
    }

    /// All blobs that are not manifests, each once.
    var blobs: [Descriptor] {
        var seen = Set<Digest>()
        return (parts.flatMap { $0.layers + [$0.configuration] } + (attachment?.blobs ?? []))
            .filter { seen.insert($0.digest).inserted }
    }

    /// All manifests and the index: what is referred to before what refers to it.
    var manifests: [Descriptor] {
        parts.map(\.manifest) + (parts.count == 1 ? [] : [image]) + (attachment.map { [$0.manifest] } ?? [])
    }

    private static func path(of descriptor: Descriptor) -> String {
        "blobs/sha256/\(descriptor.digest.hexadecimal)"
    }

    /// As Docker shows it: without what every name has.
    private static func shortName(_ reference: ImageReference) -> String {
        guard reference.host == "docker.io" else { return reference.description }
        let name = reference.name.hasPrefix("library/") ? reference.name.dropFirst(8) : reference.name[...]
        return "\(name):\(reference.tag)"
    }
}
