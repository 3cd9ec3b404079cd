// SPDX-License-Identifier: Apache-2.0
//
// The programs of an image: built from a package, or given as they are.

public import SystemPackage

extension ImageProgram {
    /// A program that was built elsewhere: `FILE`, or `linux/arm/v6=FILE` where the file does not say which platform it is for.
    /// Folders named `*.resources` beside it belong to it.
    ///
    /// - Throws: `ToolError` when it would not run in an image that holds nothing else.
    public init(parsing text: String, _ invocation: Invocation) throws {
        var path = text[...]
        var named: Platform?
        if let equals = text.firstIndex(of: "="), text[..<equals].contains("/"), !Files.exists(invocation.path(text)) {
            let parts = text[..<equals].split(separator: "/").map(String.init)
            guard (2...3).contains(parts.count) else {
                throw ToolError("\(text[..<equals]) is not a platform", remedy: "linux/arm/v6=FILE", status: .usage)
            }
            named = Platform(
                system: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
            path = text[text.index(after: equals)...]
        }
        let file = invocation.path(String(path))
        let header = try ELFFile.read(file)
        guard header.isStatic else {
            let needs = header.interpreter ?? header.needed.joined(separator: ", ")
            throw ToolError(
                "\(file) is not static: it needs \(needs), and an image holds no libraries", remedy: "apus build",
                status: .data)
        }
        if let named, let machine = ELFFile.Machine(architecture: named.architecture), machine != header.machine {
            throw ToolError("\(file) is not for \(named), but for \(header.machine)", status: .data)
        }
        guard let platform = named ?? Platform(header) else {
            throw ToolError(
                "\(file) is for a processor that images do not know: \(header.machine)",
                remedy: "--binary OS/ARCH=FILE", status: .data)
        }
        self.init(platform: platform, file: file, resources: try Files.resourceBundles(beside: file))
    }

    /// Programs that were built from a package.
    public init(_ built: BuiltProduct) {
        self.init(platform: built.platform, file: built.file, resources: built.resources)
    }
}

extension Platform {
    /// What a program's file says of the platform that it is for.
    init?(_ header: ELFFile) {
        switch (header.machine, header.bits) {
        case (.amd64, 64): self.init(system: "linux", architecture: "amd64")
        case (.arm64, 64): self.init(system: "linux", architecture: "arm64")
        // The file does not say which variant; this is the one that is not rare.
        case (.arm, 32): self.init(system: "linux", architecture: "arm", variant: "v7")
        case (.x86, 32): self.init(system: "linux", architecture: "386")
        case (.riscv, 64): self.init(system: "linux", architecture: "riscv64")
        case (.s390x, 64): self.init(system: "linux", architecture: "s390x")
        case (.loongArch, 64): self.init(system: "linux", architecture: "loong64")
        default: return nil
        }
    }
}

extension Builder {
    /// Where SwiftPM has put the sources of dependencies when it built for these destinations.
    public func checkouts(for destinations: [BuildDestination], _ settings: BuildSettings) -> [FilePath] {
        (destinations.isEmpty ? [.host] : destinations).map {
            project.scratch(settings.scratchName(for: $0)).appending("checkouts")
        } + [project.root.appending("vendor"), project.root.appending(".build").appending("checkouts")]
    }

    /// What a toolchain puts into every static program: Swift's runtime and library, the system's C library.
    public func linkedByToolchain(for destinations: [BuildDestination]) async throws -> [BillOfMaterials.Package] {
        // A target's SDK may hold others than this machine has, and does not say which.
        let isForHost = destinations.allSatisfy { $0.arguments.isEmpty && $0.link == nil }
        var swift: String?
        var library: String?
        if isForHost {
            // Swift version 6.3.1 (swift-6.3.1-RELEASE)
            let words = try await toolchain.version(invocation).split(separator: " ")
            swift = words.firstIndex(of: "version").flatMap { $0 + 1 < words.count ? String(words[$0 + 1]) : nil }
            // glibc 2.36
            let answer = try await invocation.commands.capture(Command("getconf", ["GNU_LIBC_VERSION"]))
            let parts = answer.output.split { $0 == " " || $0 == "\n" }
            if answer.isSuccess, parts.count == 2, parts[0] == "glibc" { library = String(parts[1]) }
        }
        return [
            .init(
                name: "swift", version: swift, location: "git+https://github.com/swiftlang/swift",
                url: "pkg:github/swiftlang/swift" + (swift.map { "@swift-\($0)-RELEASE" } ?? ""),
                licences: ["Apache-2.0 WITH Swift-exception"]),
            .init(
                name: "glibc", version: library, location: "git+https://sourceware.org/git/glibc.git",
                url: "pkg:generic/glibc" + (library.map { "@\($0)" } ?? ""), licences: ["LGPL-2.1-or-later"]),
        ]
    }
}

extension Files {
    /// Folders with resources of a program, which it looks for beside itself.
    static func resourceBundles(beside file: FilePath) throws -> [FilePath] {
        let folder = file.removingLastComponent()
        return try names(in: folder).filter { $0.hasSuffix(".resources") }.map { folder.appending($0) }
    }
}
