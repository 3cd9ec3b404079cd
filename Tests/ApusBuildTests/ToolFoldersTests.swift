// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// Where the tool keeps things.
@Suite struct ToolFoldersTests {
    @Test func variablesSayWhere() throws {
        let folders = try ToolFolders(environment: ["HOME": "/people/a", "XDG_CACHE_HOME": "/c", "APUS_DATA": "/d"])
        #expect(folders.cache == "/c/apus")
        #expect(folders.data == "/d")
        #expect(folders.programs == "/people/a/.local/bin")
    }

    @Test(arguments: [["HOME": "a"], ["HOME": "/", "APUS_CACHE": "a"], ["HOME": "/", "XDG_DATA_HOME": "./a"]])
    func relativeFoldersAreNone(_ environment: [String: String]) {
        let error = #expect(throws: ToolError.self) { try ToolFolders(environment: environment) }
        #expect(error?.status == .usage)
    }

    @Test func theListOfUsersKnowsWhereHomeIs() {
        let users = """
            root:x:0:0:root:/root:/bin/sh
            broken:x
            a:x:1000:1000::/people/a:/bin/sh
            b:x:1001:1001:B,,,:relative:/bin/sh
            """
        #expect(ToolFolders.home(ofUser: 0, users: users) == "/root")
        #expect(ToolFolders.home(ofUser: 1000, users: users) == "/people/a")
        #expect(ToolFolders.home(ofUser: 1001, users: users) == nil)
        #expect(ToolFolders.home(ofUser: 7, users: users) == nil)
    }
}
