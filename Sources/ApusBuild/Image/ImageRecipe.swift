// SPDX-License-Identifier: Apache-2.0
//
// What an image is to be: all that decides about its bytes, as a value.

public import SystemPackage

/// A program for one platform.
public struct ImageProgram: Sendable, Equatable {
    public var platform: Platform
    public var file: FilePath
    /// Folders that the program looks for beside it.
    public var resources: [FilePath]

    public init(platform: Platform, file: FilePath, resources: [FilePath] = []) {
        self.platform = platform
        self.file = file
        self.resources = resources
    }
}

/// A port that the program listens on.
public struct ImagePort: Sendable, Equatable, CustomStringConvertible {
    public let number: UInt16
    public let transport: String

    /// - Parameter text: `8080`, `8080/tcp`, `53/udp`.
    public init(parsing text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let number = UInt16(parts[0]), number > 0,
            parts.count == 1 || ["tcp", "udp", "sctp"].contains(parts[1])
        else {
            throw ToolError("\(text) is not a port", remedy: "8080, or 53/udp", status: .usage)
        }
        self.number = number
        transport = parts.count == 2 ? String(parts[1]) : "tcp"
    }

    public var description: String { "\(number)/\(transport)" }
}

/// A file or folder of this machine that is put into the image.
public struct ImageAddition: Sendable, Equatable {
    public var source: FilePath
    /// An absolute path in the image.
    public var destination: String

    public init(source: FilePath, destination: String) {
        self.source = source
        self.destination = destination
    }
}

/// An image.
public struct ImageRecipe: Sendable {
    /// What the program is called in the image.
    public var product: String
    /// One for each platform; the first one counts where only one can.
    public var programs: [ImageProgram]
    public var system = SystemFiles()
    public var additions: [ImageAddition] = []
    /// What the program is given when whoever runs the image says nothing else.
    public var arguments: [String] = []
    /// `NAME=value`.
    public var environment: [String] = []
    public var workingDirectory = ImageRecipe.folder
    public var ports: [ImagePort] = []
    public var labels: [String: String] = [:]
    /// When the image was made, for its configuration, and for its files: seconds since 1970.
    public var created = 0
    public var fileTime = 0

    public init(product: String, programs: [ImageProgram]) {
        self.product = product
        self.programs = programs
    }

    /// Where the program and its resources are in the image.
    public static let folder = "/app"

    /// Holds the recipe to what images can be.
    func validate() throws {
        var platforms = Set<Platform>()
        for program in programs where !platforms.insert(program.platform).inserted {
            throw ToolError("two programs of the image are for \(program.platform)", status: .usage)
        }
        for variable in environment where variable.firstIndex(of: "=").map({ $0 == variable.startIndex }) ?? true {
            throw ToolError("\(variable) is not a variable: NAME=value", status: .usage)
        }
        guard workingDirectory.hasPrefix("/") else {
            throw ToolError("the working directory \(workingDirectory) must begin with a slash", status: .usage)
        }
    }

    /// The upper layer: the program and what is its own.
    func tree(for program: ImageProgram) throws -> LayerTree {
        var tree = LayerTree()
        try tree.add("\(Self.folder)/\(product)", .file(program.file), permissions: 0o755)
        for bundle in program.resources {
            let name = bundle.lastComponent?.string ?? "resources"
            try tree.add(contentsOf: bundle, at: "\(Self.folder)/\(name)", kind: "resources of \(product)")
        }
        for addition in additions {
            try tree.add(contentsOf: addition.source, at: addition.destination, kind: "--add")
        }
        // A folder to work in belongs to who works there.
        if workingDirectory != "/", tree[workingDirectory] == nil {
            try tree.add(workingDirectory, .folder, permissions: 0o755, owner: system.user.number)
        }
        return tree
    }

    func configuration(for platform: Platform, layers: [Digest]) -> ImageConfiguration {
        // The same names as everywhere, so that programs find what is in the image; the user's own come later and count.
        var variables = ["PATH=\(Self.folder):/usr/bin:/bin", "HOME=\(system.user.home)"]
        if system.certificates != .none {
            // Where OpenSSL's and BoringSSL's users look that were built for other systems.
            variables.append("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")
        }
        for variable in environment {
            let name = variable.prefix { $0 != "=" } + "="
            variables.removeAll { $0.hasPrefix(name) }
            variables.append(variable)
        }
        let created = Documents.text(ofTime: created)
        return ImageConfiguration(
            created: created, architecture: platform.architecture, os: platform.system, variant: platform.variant,
            config: .init(
                user: system.user.configured,
                exposedPorts: ports.isEmpty
                    ? nil : Dictionary(ports.map { ($0.description, .init()) }) { first, _ in first },
                environment: variables, entryPoint: ["\(Self.folder)/\(product)"],
                arguments: arguments.isEmpty ? nil : arguments, workingDirectory: workingDirectory,
                labels: labels.isEmpty ? nil : labels, stopSignal: "SIGTERM"),
            rootfs: .init(diffIDs: layers),
            history: [
                .init(created: created, createdBy: "apus image: users, names, certificates"),
                .init(created: created, createdBy: "apus image: \(product)"),
            ])
    }
}
