// SPDX-License-Identifier: Apache-2.0
//
// The JSON documents of the OCI image specification 1.1, as far as this tool writes them. Encoded with sorted keys, so
// that the same image is the same bytes.

internal import FoundationEssentials

/// The hash of a blob's content, which is its name.
public struct Digest: Sendable, Hashable, Codable, CustomStringConvertible {
    /// 64 digits.
    public let hexadecimal: String

    public init(of bytes: [UInt8]) { hexadecimal = ContentHash.of(bytes) }

    init(_ hash: some Sequence<UInt8>) { hexadecimal = ContentHash.hexadecimal(hash) }

    /// - Parameter text: `sha256:` and 64 digits. `nil` for anything else.
    public init?(_ text: String) {
        let digits = text.dropFirst("sha256:".count)
        guard text.hasPrefix("sha256:"), digits.utf8.count == 64,
            digits.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) })
        else { return nil }
        hexadecimal = String(digits)
    }

    public var description: String { "sha256:" + hexadecimal }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let digest = Digest(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(text) is not a SHA-256 digest"))
        }
        self = digest
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// What a blob is.
public enum MediaType {
    public static let index = "application/vnd.oci.image.index.v1+json"
    public static let manifest = "application/vnd.oci.image.manifest.v1+json"
    public static let configuration = "application/vnd.oci.image.config.v1+json"
    public static let layer = "application/vnd.oci.image.layer.v1.tar+gzip"
    public static let empty = "application/vnd.oci.empty.v1+json"
    public static let spdx = "application/spdx+json"
}

/// How documents refer to a blob.
public struct Descriptor: Sendable, Equatable, Codable {
    /// What a program is for, in the index of an image for several platforms.
    public struct Platform: Sendable, Equatable, Codable {
        public var os: String
        public var architecture: String
        public var variant: String?

        public init(_ platform: ApusBuild.Platform) {
            os = platform.system
            architecture = platform.architecture
            variant = platform.variant
        }
    }

    public var mediaType: String
    public var digest: Digest
    public var size: Int
    public var platform: Platform?
    public var artifactType: String?
    public var annotations: [String: String]?

    public init(mediaType: String, digest: Digest, size: Int) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
    }

    /// Without what only the place says where it stands: as it is referred to from elsewhere.
    public var bare: Descriptor { Descriptor(mediaType: mediaType, digest: digest, size: size) }
}

/// An image for one platform, or what belongs to one (`subject`).
struct ImageManifest: Equatable, Codable {
    var schemaVersion = 2
    var mediaType = MediaType.manifest
    var artifactType: String?
    var config: Descriptor
    var layers: [Descriptor]
    var subject: Descriptor?
    var annotations: [String: String]?
}

/// Images for several platforms, or all that is in a layout.
struct ImageIndex: Equatable, Codable {
    var schemaVersion = 2
    var mediaType = MediaType.index
    var manifests: [Descriptor]
    var annotations: [String: String]?
}

/// How an image is run, and what its layers are.
struct ImageConfiguration: Equatable, Codable {
    struct Process: Equatable, Codable {
        /// Encoded as an object with no members: the specification's way to write a set.
        struct Nothing: Equatable, Codable {}

        var user: String
        var exposedPorts: [String: Nothing]?
        var environment: [String]
        var entryPoint: [String]
        var arguments: [String]?
        var workingDirectory: String
        var labels: [String: String]?
        var stopSignal: String?

        enum CodingKeys: String, CodingKey {
            case user = "User"
            case exposedPorts = "ExposedPorts"
            case environment = "Env"
            case entryPoint = "Entrypoint"
            case arguments = "Cmd"
            case workingDirectory = "WorkingDir"
            case labels = "Labels"
            case stopSignal = "StopSignal"
        }
    }

    struct RootFileSystem: Equatable, Codable {
        var type = "layers"
        var diffIDs: [Digest]

        enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }
    }

    struct History: Equatable, Codable {
        var created: String
        var createdBy: String

        enum CodingKeys: String, CodingKey {
            case created
            case createdBy = "created_by"
        }
    }

    var created: String
    var architecture: String
    var os: String
    var variant: String?
    var config: Process
    var rootfs: RootFileSystem
    var history: [History]
}

/// The file that marks a folder as an OCI layout.
struct LayoutMarker: Codable {
    var imageLayoutVersion = "1.0.0"
}

/// What `docker load` reads of a tar file: the image of one platform.
struct DockerManifest: Equatable, Codable {
    var configuration: String
    var tags: [String]
    var layers: [String]

    enum CodingKeys: String, CodingKey {
        case configuration = "Config"
        case tags = "RepoTags"
        case layers = "Layers"
    }
}

enum Documents {
    /// The bytes of a document: keys in order, nothing that depends on the machine.
    static func encode(_ document: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(document))
    }

    /// For people to read, too.
    static func encodeReadably(_ document: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return Array(try encoder.encode(document)) + [UInt8(ascii: "\n")]
    }

    /// - Throws: `ToolError` (`data`) that says what `name` is not.
    static func decode<Document: Decodable>(_ type: Document.Type, from bytes: [UInt8], name: String) throws -> Document
    {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw ToolError("\(name) is not what it should be: \(reason(error))", status: .data)
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error as? DecodingError {
        case .keyNotFound(let key, _): "it has no \(key.stringValue)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(context.codingPath.map(\.stringValue).joined(separator: ".")) is of another kind"
        case .dataCorrupted(let context): context.debugDescription
        default: String(describing: error)
        }
    }

    /// A time as the specification writes it.
    static func text(ofTime seconds: Int) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
    }
}
