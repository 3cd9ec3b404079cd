// SPDX-License-Identifier: Apache-2.0
//
// All that the tool knows of where it was called, as variables: what `apus env` shows, and what plugins find in their
// environment.

internal import SystemPackage

public enum ProjectEnvironment {
    /// What is known without asking anybody: for plugins.
    public static func variables(_ invocation: Invocation) -> [String: String] {
        var variables = [
            "APUS_VERSION": ToolVersion.current,
            "APUS_HOST": Platform.host.description,
            "APUS_CACHE": invocation.folders.cache.string,
            "APUS_DATA": invocation.folders.data.string,
            "APUS_BIN": invocation.folders.programs.string,
        ]
        if let project = try? Project.find(from: invocation.directory) {
            variables["APUS_PROJECT_DIR"] = project.root.string
            variables["APUS_PROJECT_BIN"] = project.binaries.string
            variables["APUS_PROJECT_BUILD"] = project.scratch("").string
        }
        return variables
    }

    /// All that can be found out. What cannot (no toolchain, a manifest with mistakes) is left out.
    public static func all(_ invocation: Invocation) async -> [String: String] {
        var variables = variables(invocation)
        guard let toolchain = try? await Toolchain.find(invocation) else { return variables }
        variables["APUS_TOOLCHAIN"] = toolchain.root.string
        variables["APUS_TOOLCHAIN_VERSION"] = try? await toolchain.version(invocation)
        let targets = (try? await TargetKeeper(invocation).list()) ?? []
        variables["APUS_TARGETS"] = targets.filter { $0.state == .ready }.map(\.name).joined(separator: " ")
        guard let project = try? Project.find(from: invocation.directory) else { return variables }
        if let facts = try? await PackageFacts.of(project, toolchain: toolchain, invocation) {
            variables["APUS_PACKAGE"] = facts.name
            variables["APUS_PRODUCTS"] = facts.executables.joined(separator: " ")
        }
        if let git = await GitState.of(project, invocation) {
            variables["APUS_GIT_COMMIT"] = git.commit
            variables["APUS_GIT_DIRTY"] = git.isDirty ? "1" : "0"
            variables["APUS_GIT_DESCRIBE"] = git.description
            variables["APUS_GIT_REMOTE"] = git.remote
        }
        return variables
    }
}
