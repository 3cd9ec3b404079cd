// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import SystemPackage
import Testing

@Suite("Command")
struct CommandTests {
    @Test("A command is shown as a shell takes it")
    func description() {
        let command = Command(
            "swift", ["build", "--scratch-path", "a b", "it's"], in: "/x y", environment: ["A": "1 2", "B": nil])
        #expect(command.description == #"cd '/x y' && env -u B A='1 2' swift build --scratch-path 'a b' 'it'\''s'"#)
    }
}
