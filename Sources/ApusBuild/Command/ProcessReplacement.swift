// SPDX-License-Identifier: Apache-2.0
//
// Becoming another program: what `apus run` and plugins do, so that the terminal, the signals and the exit status are the
// program's own, and nothing of ours waits in between.

private import CApusBuild
private import Glibc
internal import SystemPackage

public enum ProcessReplacement {
    /// Replaces this process by a program. Comes back only with an error.
    ///
    /// - Parameter command: `executable` is a path.
    public static func become(_ command: Command, _ invocation: Invocation) throws -> Never {
        invocation.console.clearProgress()
        var environment = invocation.environment
        for (name, value) in command.environment { environment[name] = value }
        let variables = environment.map { "\($0.key)=\($0.value)" }
        if let directory = command.directory, unsafe chdir(directory.string) != 0 {
            throw ToolError("cannot work in \(directory): \(Errno(rawValue: errno))", status: .noInput)
        }
        // The threads that tasks run on block signals, and who takes our place would do so too.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe pthread_sigmask(SIG_SETMASK, &none, nil)
        // Not inherited by children, but kept by who takes our place.
        apus_build_adopt_orphans(0)
        unsafe withStrings([command.executable] + command.arguments) { arguments in
            unsafe withStrings(variables) { variables in _ = unsafe execve(command.executable, arguments, variables) }
        }
        throw ToolError("cannot run \(command.executable): \(Errno(rawValue: errno))", status: .unavailable)
    }

    /// Calls `body` with a C array of strings that ends with a null pointer.
    private static func withStrings(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Void
    ) {
        // SAFETY: the copies live until `body` has returned, and nobody else knows them.
        unsafe withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<CChar>?.self, capacity: strings.count + 1) {
            array in
            for (index, string) in strings.enumerated() {
                unsafe array.initializeElement(at: index, to: strdup(string))
            }
            unsafe array.initializeElement(at: strings.count, to: nil)
            unsafe body(array.baseAddress!)
            let saved = errno
            for index in strings.indices { unsafe free(array[index]) }
            errno = saved
        }
    }
}
