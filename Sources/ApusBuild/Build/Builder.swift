// SPDX-License-Identifier: Apache-2.0
//
// Builds products. For other commands:
//
//     let builder = try await Builder(invocation, project: try Project.find(from: invocation.directory))
//     let programs = try await builder.build(BuildRequest(products: ["server"], destinations: [...]))   // lie in bin/
//     let bundle = try await builder.buildTests(settings: settings, for: .host)                         // TestBundle
//
// What is up to date is left alone (UpToDate/). Else: one `swift build` for each product and target, several targets side
// by side as memory allows; then the program's header is read, and it is put in its place.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// Builds the products of one package.
public struct Builder: Sendable {
    public let invocation: Invocation
    public let project: Project
    public let toolchain: Toolchain
    public let facts: PackageFacts
    /// What makes SwiftPM take dependencies from the project's folder `vendor`. Empty where there is none.
    let vendorArguments: [String]
    let vendorHold: CacheHold?
    /// What this call has read already.
    private let hasher = InputHasher()

    /// - Throws: `ToolError` when there is no toolchain, or the package's manifest is not valid.
    public init(_ invocation: Invocation, project: Project) async throws {
        self.invocation = invocation
        self.project = project
        toolchain = try await Toolchain.find(invocation)
        facts = try await PackageFacts.of(project, toolchain: toolchain, invocation)
        vendorHold = try VendorManifest.of(project) == nil ? nil : await CacheHold("vendor", invocation.folders)
        vendorArguments = try await Vendor(invocation, project: project).arguments()
    }

    /// Builds what was asked for, puts it in its place, and says where that is.
    ///
    /// - Returns: The programs, in the order of the request's targets and products.
    /// - Throws: `ToolError` for a product that does not exist, for a build that fails, for a program that is not what
    ///   was promised, and when there is no place for it. Nothing is half written then.
    public func build(_ request: BuildRequest) async throws -> [BuiltProduct] {
        let products = try selection(request.products)
        let destinations = request.destinations.isEmpty ? [.host] : request.destinations
        let isSeveral = products.count * destinations.count > 1
        let outputIsFolder = try outputIsFolder(request.output, isSeveral: isSeveral)

        if destinations.count > 1 { try await resolve(for: destinations[0], request.settings) }
        var settings = request.settings
        let width = invocation.isDry ? 1 : sideBySide(destinations.count)
        if width > 1, settings.jobs == nil { settings.jobs = max(1, Machine.processors / width) }

        return try await concurrently(destinations, width: width) { [settings] destination in
            defer {
                destination.keep()
                withExtendedLifetime(vendorHold) {}
            }
            var built: [BuiltProduct] = []
            for product in products {
                let placement = Placement(
                    product: product, destination: destination, project: project, output: request.output,
                    outputIsFolder: outputIsFolder)
                built.append(try await build(product, for: destination, settings, at: placement))
            }
            return built
        }.flatMap { $0 }
    }

    /// The products by name, each once.
    private func selection(_ names: [String]) throws -> [String] {
        let executables = facts.executables
        if names.isEmpty {
            guard !executables.isEmpty else {
                throw ToolError("the package \(facts.name) has no executable products", status: .usage)
            }
            return executables
        }
        var selected: [String] = []
        for name in names where !selected.contains(name) {
            guard executables.contains(name) else { throw unknown(name, among: executables) }
            selected.append(name)
        }
        return selected
    }

    private func unknown(_ name: String, among executables: [String]) -> ToolError {
        if let product = facts.products.first(where: { $0.name == name }) {
            return ToolError(
                "\(name) is a \(product.kind), and only executable products can be built to a program", status: .usage)
        }
        let nearest = NearestNames.of(name, among: executables)
        let known = nearest.isEmpty ? executables : nearest
        return ToolError(
            "the package \(facts.name) has no executable product \(name)",
            remedy: known.isEmpty ? nil : "there is " + known.joined(separator: ", "), status: .usage)
    }

    private func outputIsFolder(_ output: FilePath?, isSeveral: Bool) throws -> Bool {
        guard let output else { return true }
        if Files.isFolder(output) { return true }
        if isSeveral && Files.exists(output) {
            throw ToolError(
                "\(output) is a file, and several programs are to be put there", remedy: "name a folder",
                status: .usage)
        }
        return isSeveral
    }

    /// Chooses versions of dependencies once, before several targets would do it at the same time.
    private func resolve(for destination: BuildDestination, _ settings: BuildSettings) async throws {
        let driver = driver(for: destination, settings, .plain)
        let command = Command(
            toolchain.tool("swift-package").string,
            ["resolve", "--package-path", project.root.string, "--scratch-path", driver.scratch.string]
                + vendorArguments)
        let lines = LineCollector()
        let status = try await invocation.commands.run(command) { _, line in lines.take(line) }
        guard status.isSuccess else {
            for line in lines.all { invocation.console.passThrough(line) }
            throw ToolError("the dependencies of \(facts.name) cannot be resolved", status: .failure)
        }
    }

    func driver(
        for destination: BuildDestination, _ settings: BuildSettings, _ surroundings: BuildSurroundings
    ) -> SwiftPMDriver {
        var settings = settings
        settings.arguments += vendorArguments
        return SwiftPMDriver(
            invocation: invocation, project: project, toolchain: toolchain, destination: destination,
            settings: settings, surroundings: surroundings)
    }

    /// The workspace and the cache of builds with these settings.
    func surroundings(
        for destination: BuildDestination, _ settings: BuildSettings, areTests: Bool = false
    ) async throws -> BuildSurroundings {
        try await .cached(
            project, scratch: project.scratch(settings.scratchName(for: destination)),
            neighbours: facts.localPackages.map { FilePath($0) },
            toolchain: toolchain, destination: destination,
            testManifest: areTests ? driver(for: destination, settings, .plain).manifest : nil, invocation)
    }

    private func build(
        _ product: String, for destination: BuildDestination, _ settings: BuildSettings, at placement: Placement
    ) async throws -> BuiltProduct {
        let console = invocation.console
        console.event(BuildEvent(.start, product: product, target: destination.platform))
        do {
            let driver = driver(for: destination, settings, .plain)
            var check = UpToDateCheck(product: product, driver: driver, hasher: hasher)
            var answer = try check.ask(placement)
            var turn: FileLock?
            defer { withExtendedLifetime(turn) {} }
            if !invocation.isDry, !answer.isFresh {
                turn = try await self.turn(in: driver.scratch) {
                    // Somebody else has built meanwhile, perhaps the same.
                    check = UpToDateCheck(product: product, driver: driver, hasher: InputHasher())
                    answer = try check.ask(placement)
                }
            }
            let built: BuiltProduct
            switch answer {
            case .fresh(let resources):
                console.detail("\(invocation.relative(placement.file)) is up to date")
                console.event(
                    BuildEvent(.upToDate, product: product, target: destination.platform, file: placement.file))
                return BuiltProduct(
                    product: product, platform: destination.platform, file: placement.file,
                    resources: resources.map(placement.resource), wasUpToDate: true)
            case .place(let executable, let resources):
                try place(executable, resources, at: placement)
                built = BuiltProduct(
                    product: product, platform: destination.platform, file: placement.file,
                    resources: resources.map(placement.resource), wasUpToDate: false)
            case .build(let reasons, let relink):
                console.command("# \(product) for \(destination.platform): \(Self.shown(reasons))")
                built = try await compile(product, for: destination, settings, check, relink: relink, at: placement)
            }
            console.event(BuildEvent(.built, product: product, target: destination.platform, file: placement.file))
            return built
        } catch let error as ToolError {
            console.event(BuildEvent(.failed, product: product, target: destination.platform, text: error.message))
            throw error
        }
    }

    /// Waits until nobody else builds in a scratch folder. SwiftPM itself keeps two builds apart, but not a build and
    /// the copying of what the other has made.
    ///
    /// - Parameter waited: Called when it was somebody else's turn before.
    /// - Returns: `nil` on file systems without locks: SwiftPM's own must do there.
    private func turn(in scratch: FilePath, _ waited: () throws -> Void) async throws -> FileLock? {
        let file = scratch.appending("apus.lock")
        do {
            try Files.makeFolder(scratch)
            if let lock = try FileLock.acquire(file, .exclusive) { return lock }
        } catch let error as ToolError {
            invocation.console.detail("other builds are not waited for: \(error.message)")
            return nil
        }
        invocation.console.detail("waiting for another apus, which builds in \(invocation.relative(scratch))")
        invocation.console.progress("waiting for another apus, which builds here")
        let lock = try await FileLock.wait(file, .exclusive)
        try waited()
        return lock
    }

    /// The first few of many reasons.
    private static func shown(_ reasons: [String]) -> String {
        let shown = reasons.prefix(4).joined(separator: "; ")
        return reasons.count > 4 ? "\(shown); and \(reasons.count - 4) more" : shown
    }

    /// Has SwiftPM build a product, checks it, and puts it in its place.
    private func compile(
        _ product: String, for destination: BuildDestination, _ settings: BuildSettings, _ check: UpToDateCheck,
        relink: Bool, at placement: Placement
    ) async throws -> BuiltProduct {
        let driver = driver(for: destination, settings, try await surroundings(for: destination, settings))
        var executable = driver.products.appending(product)
        var resources: [FilePath] = []
        if invocation.isDry {
            try await driver.build(.product(product))
            if let step = destination.link { executable = try await step.link(executable, invocation) }
        } else {
            try placement.check()
            let start = try check.begin()
            if relink { try Files.remove(executable) }
            try await driver.build(.product(product))
            if let step = destination.link { executable = try await step.link(executable, invocation) }
            try verify(executable, product: product, for: destination, settings)
            let inputs = try ProductInputs(of: product, driver: driver)
            resources = inputs.resources
            try check.finish(inputs, executable: executable, since: start)
        }
        try place(executable, resources, at: placement)
        return BuiltProduct(
            product: product, platform: destination.platform, file: placement.file,
            resources: resources.map(placement.resource), wasUpToDate: false)
    }

    private func place(_ executable: FilePath, _ resources: [FilePath], at placement: Placement) throws {
        let console = invocation.console
        for bundle in resources {
            console.step(
                Command("cp", ["-r", bundle.string, placement.resource(bundle).string]), isDry: invocation.isDry)
        }
        console.step(Command("cp", [executable.string, placement.file.string]), isDry: invocation.isDry)
        if !invocation.isDry { try placement.put(executable: executable, resources: resources) }
    }

    /// Holds a program to what was promised.
    private func verify(
        _ executable: FilePath, product: String, for destination: BuildDestination, _ settings: BuildSettings
    ) throws {
        let header = try ELFFile.read(executable)
        if let machine = ELFFile.Machine(architecture: destination.platform.architecture), header.machine != machine {
            throw ToolError(
                "\(product) was to be for \(destination.platform), and the linker made a program for \(header.machine)",
                status: .software)
        }
        guard settings.linkage == .static, !header.isStatic else { return }
        var needs = header.needed
        if let interpreter = header.interpreter { needs.append("the loader \(interpreter)") }
        throw ToolError(
            "\(product) was to be static, and needs \(needs.joined(separator: ", "))",
            remedy: "apus build --dynamic \(product)", status: .software)
    }

    /// How many targets are built at the same time: a compile job of a large module takes a gigabyte or two.
    private func sideBySide(_ count: Int) -> Int {
        let memory = Machine.availableMemory
        return max(1, min(count, Machine.processors, Int(memory / (3 << 30))))
    }

    /// Runs `body` for all, so many at a time; the first error ends the others.
    private func concurrently<Element: Sendable, Result: Sendable>(
        _ elements: [Element], width: Int, _ body: @escaping @Sendable (Element) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            var results = [Result?](repeating: nil, count: elements.count)
            var next = 0
            func start() {
                guard next < elements.count else { return }
                let index = next
                next += 1
                group.addTask { (index, try await body(elements[index])) }
            }
            for _ in 0..<width { start() }
            while let (index, result) = try await group.next() {
                results[index] = result
                start()
            }
            return results.compactMap { $0 }
        }
    }
}

extension Console {
    /// Shows what is done without a command, as the command that would do it.
    func step(_ command: Command, isDry: Bool) {
        if isDry { say(command.description) } else { self.command(command.description) }
    }
}
