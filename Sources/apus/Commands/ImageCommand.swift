// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser
import SystemPackage

struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image",
        abstract: "Build a program, and make an OCI image of it: to a file, a folder or a registry.",
        discussion: """
            The image holds the static program (in /app), CA certificates, users and nothing else; the same sources \
            give the same bytes. No daemon is needed. With several targets it is an index of images. Without -o and \
            --push it is written to bin/PRODUCT.tar, which docker load, podman load and skopeo read.
            """
    )

    @Argument(help: "The executable product; may be left out where the package has one.", completion: .products)
    var product: String?

    @Option(
        name: .customShort("o"),
        help: ArgumentHelp("Write the image to a file, if the name ends in .tar, or to a folder.", valueName: "path"),
        completion: .file())
    var output: String?

    @Option(help: ArgumentHelp("Push the image to a registry.", valueName: "host/name:tag"))
    var push: String?

    @Flag(help: "Speak to registries of other machines without encryption.")
    var insecure = false

    @Option(help: ArgumentHelp("What the image is called, if it is not pushed: NAME:TAG.", valueName: "name"))
    var name: String?

    @Option(
        help: ArgumentHelp(
            "Take a static program that is there already. May be repeated, one for each platform: FILE, OS/ARCH=FILE.",
            valueName: "file"),
        completion: .file())
    var binary: [String] = []

    @Option(name: [.customLong("port")], help: ArgumentHelp("A port that the program listens on.", valueName: "port"))
    var ports: [String] = []

    @Option(
        name: [.customLong("env"), .customShort("e")],
        help: ArgumentHelp("A variable of the program's environment.", valueName: "name=value"))
    var environment: [String] = []

    @Option(
        name: .customLong("label"), help: ArgumentHelp("A label of the image.", valueName: "name=value"))
    var labels: [String] = []

    @Option(
        name: .customLong("add"),
        help: ArgumentHelp(
            "Put a file or a folder into the image, into /app if nothing else is said.", valueName: "path[:path]"),
        completion: .file())
    var additions: [String] = []

    @Option(
        name: .customLong("argument"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("An argument of the program, unless the image is run with others.", valueName: "text"))
    var arguments: [String] = []

    @Option(
        help: ArgumentHelp("Whom the program runs as: nonroot, root or a number.", valueName: "user"),
        completion: .list(["nonroot", "root"]))
    var user = "nonroot"

    @Option(help: ArgumentHelp("The folder that the program runs in.", valueName: "path"))
    var workingDirectory = ImageRecipe.folder

    @Option(
        help: ArgumentHelp("CA certificates: a file, host (this machine's) or none.", valueName: "file"),
        completion: .file())
    var caCertificates = "host"

    @Flag(help: "Put the time zones of /usr/share/zoneinfo into the image.")
    var timeZones = false

    @Option(
        help: ArgumentHelp(
            "Write the bill of materials (SPDX) to a file. It is attached to a pushed image anyhow, unless none is said.",
            valueName: "file"),
        completion: .file())
    var sbom: String?

    @OptionGroup var targets: TargetFlags
    @OptionGroup var build: BuildFlags
    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let project = try findProject(invocation)
        let maker = await ImageMaker(invocation, project: project)
        let sources = try await programs(invocation, project)
        let product = sources.product
        var recipe = ImageRecipe(product: product, programs: sources.programs)
        try fill(&recipe, invocation, maker)

        let pushed = try push.map { try ImageReference(parsing: $0) }
        let named = try name.map { try ImageReference(parsing: $0) }
        let reference =
            try named ?? pushed ?? ImageReference(parsing: ImageReference.name(from: product) + ":latest")
        let destinations = ImageDestinations(
            output: place(product, invocation, project), push: pushed, allowsPlainHTTP: insecure,
            bill: sbom == "none" ? nil : sbom.map(invocation.path))
        if invocation.isDry {
            let places = [destinations.output?.string, pushed?.description].compactMap { $0 }
            invocation.console.say("# the image \(reference), to \(places.joined(separator: " and "))")
            return
        }
        let bill =
            sbom == "none"
            ? nil
            : try maker.bill(
                of: product, recipe.programs, checkouts: sources.checkouts, toolchain: sources.toolchain)
        let digest = try await maker.make(recipe, named: reference, bill: bill, to: destinations)
        if let output = destinations.output { invocation.console.result(invocation.relative(output)) }
        if let pushed { invocation.console.result("\(pushed.host)/\(pushed.name)@\(digest)") }
        invocation.console.event(
            ImageEvent(reference: reference, digest: digest, output: destinations.output, pushed: pushed))
    }

    /// Where the image is written to, if anywhere but a registry.
    private func place(_ product: String, _ invocation: Invocation, _ project: Project?) -> FilePath? {
        if let output { return invocation.path(output) }
        if push != nil { return nil }
        return (project?.binaries ?? invocation.directory).appending(product + ".tar")
    }

    /// The package that is built. A program that is there already need not have one.
    private func findProject(_ invocation: Invocation) throws -> Project? {
        do { return try Project.find(from: invocation.directory) } catch {
            if binary.isEmpty { throw error }
            return nil
        }
    }

    private struct Sources {
        var product: String
        var programs: [ImageProgram]
        var checkouts: [FilePath] = []
        var toolchain: [BillOfMaterials.Package] = []
    }

    private func programs(_ invocation: Invocation, _ project: Project?) async throws -> Sources {
        if !binary.isEmpty {
            guard targets.targets.isEmpty else {
                throw ToolError("--binary and --target cannot be said together", status: .usage)
            }
            let programs = try binary.map { try ImageProgram(parsing: $0, invocation) }
            return Sources(product: product ?? programs[0].file.stem ?? "program", programs: programs)
        }
        guard let project else { preconditionFailure("apus: without a package there is a program") }
        if build.dynamic {
            throw ToolError("an image holds no libraries, so its program must be static", status: .usage)
        }
        let destinations = try await targets.destinations(invocation)
        let builder = try await Builder(invocation, project: project)
        let executables = builder.facts.executables
        guard let chosen = product ?? (executables.count == 1 ? executables[0] : nil) else {
            throw ToolError(
                executables.isEmpty
                    ? "the package \(builder.facts.name) has no executable products"
                    : "the package \(builder.facts.name) has several executable products, and none was named",
                remedy: executables.isEmpty ? nil : "apus image " + executables.joined(separator: " | "),
                status: .usage)
        }
        let built = try await builder.build(
            BuildRequest(products: [chosen], destinations: destinations, settings: build.settings))
        return Sources(
            product: chosen, programs: built.map(ImageProgram.init),
            checkouts: builder.checkouts(for: destinations, build.settings),
            toolchain: try await builder.linkedByToolchain(for: destinations))
    }

    private func fill(_ recipe: inout ImageRecipe, _ invocation: Invocation, _ maker: ImageMaker) throws {
        recipe.created = try maker.created()
        recipe.fileTime = try maker.fileTime()
        recipe.ports = try ports.map(ImagePort.init(parsing:))
        recipe.environment = environment
        recipe.arguments = arguments
        recipe.workingDirectory = workingDirectory
        recipe.system.user = try ImageUser(parsing: user)
        switch caCertificates {
        case "host": recipe.system.certificates = .host
        case "none": recipe.system.certificates = .none
        default: recipe.system.certificates = .file(invocation.path(caCertificates))
        }
        if timeZones { recipe.system.timeZones = "/usr/share/zoneinfo" }
        recipe.additions = additions.map { text in
            if let colon = text.lastIndex(of: ":"), text[colon...].hasPrefix(":/") {
                return ImageAddition(
                    source: invocation.path(String(text[..<colon])),
                    destination: String(text[text.index(after: colon)...]))
            }
            let source = invocation.path(text)
            let name = source.lastComponent?.string ?? ""
            return ImageAddition(source: source, destination: "\(ImageRecipe.folder)/\(name)")
        }
        var own: [String: String] = [:]
        for label in labels {
            guard let equals = label.firstIndex(of: "="), equals > label.startIndex else {
                throw ToolError("\(label) is not a label: NAME=value", status: .usage)
            }
            own[String(label[..<equals])] = String(label[label.index(after: equals)...])
        }
        recipe.labels = try maker.labels(for: recipe.product, own: own)
    }
}
