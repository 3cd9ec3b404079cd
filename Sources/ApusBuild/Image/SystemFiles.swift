// SPDX-License-Identifier: Apache-2.0
//
// What a static program expects of the system around it: users, how names are looked up, whom to trust, a place for
// temporary files. The lower layer of an image; the same for every program, so registries and machines keep it once.

internal import FoundationEssentials
public import SystemPackage

/// Whom the program in an image runs as.
public struct ImageUser: Sendable, Equatable {
    public let number: UInt32
    public let name: String

    /// The user of images that ask for none: without any rights, known by this number elsewhere too.
    public static let nonroot = ImageUser(number: 65532, name: "nonroot")
    public static let root = ImageUser(number: 0, name: "root")

    init(number: UInt32, name: String) {
        self.number = number
        self.name = name
    }

    /// - Parameter text: `root`, `nonroot` or a number.
    public init(parsing text: String) throws {
        switch text {
        case "root", "0": self = .root
        case "nonroot", "65532": self = .nonroot
        default:
            guard let number = UInt32(text) else {
                throw ToolError("\(text) is not a user of the image: root, nonroot or a number", status: .usage)
            }
            self.init(number: number, name: "user")
        }
    }

    /// As the image's configuration names it. By numbers: who runs containers can see then that it is not root.
    var configured: String { "\(number):\(number)" }
    var home: String { self == .root ? "/root" : "/home/\(name)" }
}

/// Where the certificates come from that the program trusts.
public enum CertificateSource: Sendable, Equatable {
    /// The bundle of this machine.
    case host
    case file(FilePath)
    case none
}

/// The lower layer.
public struct SystemFiles: Sendable {
    public var user = ImageUser.nonroot
    public var certificates = CertificateSource.host
    /// A folder such as `/usr/share/zoneinfo`; `nil` leaves time zones out.
    public var timeZones: FilePath?

    public init() {}

    /// Where the systems of this world keep their bundle of certificates.
    static let bundles: [FilePath] = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
    ]

    /// - Throws: `ToolError` when there are no certificates where they should be.
    func tree() throws -> LayerTree {
        var tree = LayerTree()
        var users = ["root:x:0:0:root:/root:/sbin/nologin"]
        var groups = ["root:x:0:"]
        // The user's folder is its own; root's is there always, since root is.
        for user in user == .root
            ? [ImageUser.nonroot]
            : Set([user.number, ImageUser.nonroot.number]).sorted().map({
                $0 == ImageUser.nonroot.number ? .nonroot : user
            })
        {
            users.append("\(user.name):x:\(user.number):\(user.number):\(user.name):\(user.home):/sbin/nologin")
            groups.append("\(user.name):x:\(user.number):")
            try tree.add(user.home, .folder, permissions: 0o700, owner: user.number)
        }
        try tree.add("/root", .folder, permissions: 0o700)
        try tree.add("/etc/passwd", .bytes(Self.lines(users)), permissions: 0o644)
        try tree.add("/etc/group", .bytes(Self.lines(groups)), permissions: 0o644)
        let nameServices = Self.lines(["passwd: files", "group: files", "hosts: files dns"])
        try tree.add("/etc/nsswitch.conf", .bytes(nameServices), permissions: 0o644)
        try tree.add("/tmp", .folder, permissions: 0o1777)
        if let bundle = try bundle() {
            try tree.add("/etc/ssl/certs/ca-certificates.crt", .bytes(bundle), permissions: 0o644)
        }
        if let timeZones { try tree.add(contentsOf: timeZones, at: "/usr/share/zoneinfo", kind: "time zones") }
        return tree
    }

    private static func lines(_ lines: [String]) -> [UInt8] { Array(lines.map { $0 + "\n" }.joined().utf8) }

    private func bundle() throws -> [UInt8]? {
        let file: FilePath
        switch certificates {
        case .none: return nil
        case .file(let named): file = named
        case .host:
            guard let found = Self.bundles.first(where: Files.exists) else {
                throw ToolError(
                    "this machine has no bundle of CA certificates to put into the image",
                    remedy: "install ca-certificates, or say --ca-certificates FILE or --ca-certificates none",
                    status: .noInput)
            }
            file = found
        }
        let bytes = try Files.read(file)
        guard bytes.span.count > 0, String(decoding: bytes, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----")
        else {
            throw ToolError("\(file) holds no certificate in PEM", status: .data)
        }
        return bytes
    }
}

extension LayerTree {
    /// Adds a file, or a folder with all that is in it, as it is on this machine: contents, symbolic links and whether a
    /// file may be executed; nothing else of its permissions.
    public mutating func add(contentsOf source: FilePath, at path: String, kind: String) throws {
        let status: Stat
        do { status = try Stat(source, followTargetSymlink: false) } catch {
            throw ToolError("there is no \(source), which was to be in the image (\(kind))", status: .noInput)
        }
        switch status.type {
        case .directory:
            try add(path, .folder, permissions: 0o755)
            for name in try Files.names(in: source) {
                try add(contentsOf: source.appending(name), at: path + "/" + name, kind: kind)
            }
        case .symbolicLink:
            let target = try FileManager.default.destinationOfSymbolicLink(atPath: source.string)
            try add(path, .symbolicLink(target: target), permissions: 0o777)
        case .regular:
            let isProgram = status.permissions.rawValue & 0o111 != 0
            try add(path, .file(source), permissions: isProgram ? 0o755 : 0o644)
        default:
            throw ToolError("\(source) is neither a file nor a folder, so it cannot be in the image", status: .data)
        }
    }
}
