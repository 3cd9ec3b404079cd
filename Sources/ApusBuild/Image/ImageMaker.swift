// SPDX-License-Identifier: Apache-2.0
//
// `apus image`: from programs to an image that lies in a folder, in a tar file, in a registry. No daemon takes part.

internal import FoundationEssentials
public import SystemPackage

/// Where an image goes. Nothing of it is there before all of it is.
public struct ImageDestinations: Sendable, Equatable {
    /// A file whose name ends in `.tar`, or a folder.
    public var output: FilePath?
    public var push: ImageReference?
    /// Registries of other machines may be spoken to without encryption.
    public var allowsPlainHTTP: Bool
    /// A file for the bill of materials.
    public var bill: FilePath?

    public init(
        output: FilePath? = nil, push: ImageReference? = nil, allowsPlainHTTP: Bool = false, bill: FilePath? = nil
    ) {
        self.output = output
        self.push = push
        self.allowsPlainHTTP = allowsPlainHTTP
        self.bill = bill
    }
}

/// Makes images.
public struct ImageMaker: Sendable {
    public let invocation: Invocation
    /// The package that the programs were built from. `nil`: they were given as they are.
    public let project: Project?
    public let git: GitState?

    public init(_ invocation: Invocation, project: Project?) async {
        self.invocation = invocation
        self.project = project
        if let project { git = await GitState.of(project, invocation) } else { git = nil }
    }

    /// When the image was made, as far as it says so: `SOURCE_DATE_EPOCH`, or when the commit was made, or 1970. Never the
    /// clock: the same sources are the same image.
    public func created() throws -> Int { try sourceDate() ?? git.map { Int($0.time) } ?? 0 }

    /// The time of all files in the image: `SOURCE_DATE_EPOCH`, or 1970.
    public func fileTime() throws -> Int { try sourceDate() ?? 0 }

    private func sourceDate() throws -> Int? {
        guard let text = invocation.environment["SOURCE_DATE_EPOCH"], !text.isEmpty else { return nil }
        guard let seconds = Int(text), (0..<1 << 33).contains(seconds) else {
            throw ToolError("SOURCE_DATE_EPOCH must be seconds since 1970, and is \(text)", status: .usage)
        }
        return seconds
    }

    /// Labels from git, those of the user's over them.
    public func labels(for product: String, own: [String: String]) throws -> [String: String] {
        ImageLabels.labels(title: product, created: try created(), git: git).merging(own) { $1 }
    }

    /// Makes an image and puts it where it belongs.
    ///
    /// - Parameters:
    ///   - reference: What it is called.
    ///   - bill: The bill of materials, which is attached to the image in the registry. `nil`: none.
    /// - Returns: The digest of the image.
    @discardableResult
    public func make(
        _ recipe: ImageRecipe, named reference: ImageReference, bill: BillOfMaterials?,
        to destinations: ImageDestinations
    ) async throws -> Digest {
        let console = invocation.console
        // Beside the output, where there is one: as large as the image, so perhaps on the only disk that has room.
        let staging = destinations.output ?? FilePath("/")
        return try await withStaging(beside: destinations.output == nil ? nil : staging) { folder in
            console.progress("image \(reference)")
            var layout = try ImageLayout(recipe, in: folder.appending("image"))
            try layout.finish(reference)
            let document = try bill?.encoded()
            if let document, let file = destinations.bill { try Files.write(document, to: file) }
            try Task.checkCancellation()
            if let output = destinations.output {
                if Self.isArchive(output) {
                    try layout.write(toArchive: output, reference, preferred: .host)
                } else {
                    try layout.write(toFolder: output)
                }
            }
            if let push = destinations.push {
                // Only here: a layout with more than one manifest makes its readers ask which one is meant.
                if let document {
                    try layout.attach(
                        document, mediaType: MediaType.spdx, created: Documents.text(ofTime: recipe.created))
                }
                try await layout.push(to: push, allowsPlainHTTP: destinations.allowsPlainHTTP, invocation)
            }
            console.clearProgress()
            return layout.image.digest
        }
    }

    static func isArchive(_ output: FilePath) -> Bool { output.extension == "tar" }

    private func withStaging<Result>(
        beside path: FilePath?, _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        if let path { return try await PassingFolder.with(beside: path, body) }
        return try await PassingFolder.with(in: invocation.environment, body)
    }

    /// The bill of materials of a product: what its project has chosen, with the licences that are found.
    ///
    /// - Parameter checkouts: Folders that SwiftPM has put sources of dependencies into.
    public func bill(
        of product: String, _ programs: [ImageProgram], checkouts: [FilePath], toolchain: [BillOfMaterials.Package]
    ) throws -> BillOfMaterials {
        var dependencies: [BillOfMaterials.Package] = []
        var main = BillOfMaterials.Package(name: product, version: git?.description)
        if let project {
            for pin in try ResolvedPackages.of(project)?.pins ?? [] {
                let folder = checkouts.lazy.map { $0.appending(pin.name) }.first(where: Files.exists)
                dependencies.append(.init(pin, licences: folder.map(Licence.identify) ?? []))
            }
            main.licences = Licence.identify(in: project.root)
            if let source = git?.remote.flatMap(ImageLabels.webAddress), let git {
                main.location = "git+\(source)@\(git.commit)"
            }
        }
        return BillOfMaterials(
            product: main, programs: programs, dependencies: dependencies, toolchain: toolchain,
            created: try created())
    }
}

/// The line of `apus image --json` that says what was made.
public struct ImageEvent: Sendable, Equatable, Encodable {
    public let event = "image"
    /// What it is called.
    public let image: String
    public let digest: String
    /// The file or the folder.
    public let file: String?
    /// Where it was pushed to.
    public let pushed: String?

    public init(reference: ImageReference, digest: Digest, output: FilePath?, pushed: ImageReference?) {
        image = reference.description
        self.digest = digest.description
        file = output?.string
        self.pushed = pushed?.description
    }
}
