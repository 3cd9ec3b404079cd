// SPDX-License-Identifier: Apache-2.0
//
// Which files a product was made from. SwiftPM's list of steps names sources, resources and what they are made into; the
// compilers' lists of dependencies (`.d` files) name headers. Where adding a file would change the product, the
// folder's names count as well.

internal import FoundationEssentials
internal import SystemPackage

/// The files and folders that a product's build has read, outside of what it has made itself and of the toolchain.
struct ProductInputs: Sendable, Equatable {
    /// Files, and folders that are read whole.
    var files: Set<String> = []
    /// Folders of which each new file may become a source.
    var folders: Set<String> = []
    /// The bundles beside the program.
    var resources: [FilePath] = []
    /// Why SwiftPM must be asked each time. `nil`: it need not.
    var volatility: String?

    /// Finds them after a build.
    init(of product: String, driver: SwiftPMDriver) throws {
        /// From a path as SwiftPM saw it to the one it has here; a slash at its end stays.
        func outside(_ path: String) -> String {
            driver.surroundings.outside(FilePath(path)).string + (path.hasSuffix("/") ? "/" : "")
        }
        let manifest = try BuildManifest.read(driver.manifest)
        guard manifest.isUnderstood else {
            volatility = "SwiftPM's list of steps is not written as this version of apus knows it"
            return
        }
        let scratch = driver.surroundings.inside(driver.scratch).string
        let suffix = "/\(driver.settings.configuration.rawValue)/\(product)"
        guard
            let program = manifest.steps.lazy.flatMap(\.outputs).first(where: {
                $0.hasPrefix(scratch) && $0.hasSuffix(suffix)
            })
        else {
            volatility = "SwiftPM does not say what \(product) is made of"
            return
        }
        let steps = manifest.steps(for: program)
        let made = scratch + "/"
        /// What SwiftPM has fetched is read and not made.
        let fetched = ["checkouts/", "artifacts/"].map { made + $0 }
        func isInput(_ path: String) -> Bool {
            path.hasPrefix("/") && !Self.isOfToolchain(path, driver.toolchain)
                && (!path.hasPrefix(made) || fetched.contains(where: path.hasPrefix))
        }

        var bundles: Set<String> = []
        var objectFolders: Set<String> = []
        for step in steps {
            for path in step.inputs {
                if path.hasPrefix(made + "plugins/") { volatility = "plugins run before each build" }
                if isInput(path) { files.insert(outside(path)) }
            }
            for path in step.outputs where path.hasPrefix(made) {
                // Behind the scratch folder's own path, which may have a `.build` in it.
                let inner = path.dropFirst(made.count)
                if let range = inner.firstRange(of: ".resources/") {
                    bundles.insert(outside(made + inner[..<range.lowerBound] + ".resources"))
                }
                if let range = inner.firstRange(of: ".build/"), path.hasSuffix(".o") || path.hasSuffix(".swiftmodule") {
                    objectFolders.insert(made + inner[..<range.lowerBound] + ".build")
                }
            }
        }
        resources = bundles.sorted().map { FilePath($0) }
        for folder in objectFolders {
            for path in try Self.dependencies(in: FilePath(outside(folder))) where isInput(path) {
                files.insert(outside(path))
            }
        }
        if driver.settings.linkage == .static, driver.destination.arguments.isEmpty {
            let options = steps.first { $0.outputs.contains(program) }?.arguments ?? []
            let folders = objectFolders.map { FilePath(outside($0)) }
            for name in Self.libraries(of: product, options: options, folders) {
                if let library = SystemLibraries.archive(name) { files.insert(library.string) }
            }
        }
        for path in manifest.structure {
            if path.hasSuffix("/") { folders.insert(outside(path)) } else { files.insert(outside(path)) }
        }
        try addManifests(of: driver)
        // Virtual file systems of the kernel's say something else each time.
        files = files.filter { !$0.hasPrefix("/dev/") && !$0.hasPrefix("/proc/") }
    }

    /// Of a file: the toolchain has brought it along, so the toolchain's identity stands for it.
    ///
    /// Its root alone does not tell: that may be `/usr`, where a container's `/usr/src/app` and the system's headers
    /// are too.
    private static func isOfToolchain(_ path: String, _ toolchain: Toolchain) -> Bool {
        let root = toolchain.root.string + "/"
        guard path.hasPrefix(root) else { return false }
        let inner = path.dropFirst(root.count)
        return ["bin/", "lib/swift/", "lib/swift_static/", "lib/clang/"].contains(where: inner.hasPrefix)
    }

    /// The names of the libraries that the linker was asked for: by its options, and by the modules that it links,
    /// which the driver puts into a list (`-lz`).
    private static func libraries(of product: String, options: [String], _ folders: [FilePath]) -> Set<String> {
        let list = product.replacing("-", with: "_") + ".autolink"
        let lines = folders.flatMap { folder in
            ((try? Files.readText(folder.appending(list))) ?? "").split(separator: "\n").map(String.init)
        }
        return Set((options + lines).filter { $0.hasPrefix("-l") }.map { String($0.dropFirst(2)) })
    }

    /// Adds the manifests of the packages that the files belong to, and what SwiftPM reads besides.
    private mutating func addManifests(of driver: SwiftPMDriver) throws {
        let checkouts = driver.scratch.appending("checkouts").string + "/"
        var packages: Set<FilePath> = [driver.project.root]
        var seen: Set<FilePath> = []
        for file in files {
            var folder = FilePath(file).removingLastComponent()
            while seen.insert(folder).inserted {
                if Files.exists(folder.appending("Package.swift")) {
                    packages.insert(folder)
                    break
                }
                guard folder.removeLastComponent() else { break }
            }
        }
        for package in packages {
            for manifest in try Project(root: package).manifests() {
                files.insert(manifest.string)
                if try Files.readText(manifest).contains("gitInformation") {
                    volatility = "\(manifest) asks git"
                }
            }
            // The root's folders are named by SwiftPM; what was fetched is as it was fetched.
            if package != driver.project.root, !package.string.hasPrefix(checkouts) { folders.insert(package.string) }
        }
        files.insert(driver.project.root.appending("Package.resolved").string)
        files.insert(driver.scratch.appending("workspace-state.json").string)
        files.insert(driver.project.root.pushing(".swiftpm/configuration/mirrors.json").string)
        if let home = driver.invocation.environment["HOME"] {
            files.insert(FilePath(home).pushing(".swiftpm/configuration/mirrors.json").string)
        }
    }

    /// The paths in all `.d` files of a folder.
    private static func dependencies(in folder: FilePath) throws -> Set<String> {
        var paths: Set<String> = []
        guard let names = try? FileManager.default.subpathsOfDirectory(atPath: folder.string) else { return paths }
        for name in names where name.hasSuffix(".d") {
            let text = try Files.readText(folder.pushing(FilePath(name)))
            for line in dependencyPaths(text) { paths.insert(line) }
        }
        return paths
    }

    /// The prerequisites in the syntax of `make`: words behind `: `, a backslash before spaces and at the ends of lines.
    static func dependencyPaths(_ text: String) -> [String] {
        var paths: [String] = []
        var word: [UInt8] = []
        var isTarget = true
        var bytes = text.utf8.makeIterator()
        func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        func end() {
            defer { word = [] }
            if isTarget {
                if word.last == UInt8(ascii: ":") { isTarget = false }
                return
            }
            if !word.isEmpty { paths.append(String(decoding: word, as: UTF8.self)) }
        }
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "\\"):
                guard let escaped = bytes.next() else { break }
                if escaped == UInt8(ascii: "\n") {
                    end()
                } else if escaped == UInt8(ascii: "\r") {
                    continue
                } else {
                    if !isBlank(escaped) && escaped != UInt8(ascii: "\\") && escaped != UInt8(ascii: "#") {
                        word.append(byte)
                    }
                    word.append(escaped)
                }
            case UInt8(ascii: "\n"):
                end()
                isTarget = true
            case UInt8(ascii: "$"):
                // `$$` is one.
                word.append(byte)
                if let next = bytes.next(), next != byte { word.append(next) }
            case let byte where isBlank(byte): end()
            default: word.append(byte)
            }
        }
        end()
        return paths
    }
}
