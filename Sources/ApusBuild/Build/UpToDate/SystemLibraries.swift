// SPDX-License-Identifier: Apache-2.0
//
// The system's libraries that static programs are linked with. Their code is in the program, and SwiftPM does not look
// at them: after an update of `libz.a` it would not link again.

internal import FoundationEssentials
internal import SystemPackage

/// Static libraries outside of the toolchain.
enum SystemLibraries {
    /// Where linkers look on this machine, in their order.
    private static let folders: [FilePath] = {
        #if arch(x86_64)
        let name = "x86_64-linux-gnu"
        #elseif arch(arm64)
        let name = "aarch64-linux-gnu"
        #else
        let name = "riscv64-linux-gnu"
        #endif
        return SystemLibraries.compilerFolders("/usr/lib/gcc")
            + ["/usr/lib/\(name)", "/usr/lib64", "/usr/lib", "/usr/local/lib"].map { FilePath($0) }
    }()

    /// GCC's own, of each version that is installed: `/usr/lib/gcc/x86_64-linux-gnu/12`.
    private static func compilerFolders(_ root: FilePath) -> [FilePath] {
        let systems = (try? Files.names(in: root)) ?? []
        return systems.flatMap { system in
            let folder = root.appending(system)
            return ((try? Files.names(in: folder)) ?? []).map { folder.appending($0) }
        }
    }

    /// The file of a library that a linker finds by its name: `/usr/lib/x86_64-linux-gnu/libz.a` for `z`. `nil`: the
    /// system has none, as with those of the toolchain's own.
    static func archive(_ name: String) -> FilePath? {
        folders.lazy.map { $0.appending("lib\(name).a") }.first(where: Files.exists)
    }

    static func isArchive(_ path: String) -> Bool { path.hasSuffix(".a") }
}
