// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

@Suite("Package.resolved")
struct ResolvedPackagesTests {
    @Test(
        "All versions of the format are read",
        arguments: [
            """
            {"version": 1, "object": {"pins": [{"package": "Log", "repositoryURL": "https://h/a/Swift-Log.git",
                "state": {"branch": null, "revision": "c0ffee", "version": "1.0.0"}}]}}
            """,
            """
            {"version": 2, "pins": [{"identity": "swift-log", "kind": "remoteSourceControl",
                "location": "https://h/a/Swift-Log.git", "state": {"revision": "c0ffee", "version": "1.0.0"}}]}
            """,
            """
            {"originHash": "x", "version": 3, "pins": [{"identity": "swift-log", "kind": "remoteSourceControl",
                "location": "https://h/a/Swift-Log.git", "state": {"revision": "c0ffee", "version": "1.0.0"}}]}
            """,
        ])
    func versions(text: String) throws {
        let resolved = try ResolvedPackages(parsing: Array(text.utf8))
        #expect(
            resolved.pins == [
                .init(
                    identity: "swift-log", location: "https://h/a/Swift-Log.git", revision: "c0ffee", version: "1.0.0")
            ])
        #expect(resolved.pins[0].name == "Swift-Log")
    }

    @Test("What is not known is refused", arguments: [#"{"version": 4, "pins": []}"#, "{}", "", "[]"])
    func refused(text: String) {
        #expect(throws: ToolError.self) { try ResolvedPackages(parsing: Array(text.utf8)) }
    }

    @Test(
        "Names are the last part of an address, as it is written there",
        arguments: [
            ("https://github.com/groue/GRDB.swift.git", "grdb.swift", "GRDB.swift"),
            ("git@host:a/b", "b", "b"), ("host:b.git/", "b", "b"), ("/srv/git/b/", "b", "b"),
            ("https://h/other", "renamed", "renamed"),
        ])
    func names(location: String, identity: String, name: String) {
        #expect(ResolvedPackages.Pin(identity: identity, location: location, revision: nil).name == name)
    }
}

@Suite("Licences")
struct LicenceTests {
    @Test(
        "Are told by their words",
        arguments: [
            ("Apache License\n  Version 2.0, January 2004", "Apache-2.0"),
            (
                "Apache License Version 2.0 ... Runtime Library Exception: As an exception, if you use this Software to "
                    + "compile your source code and portions", "Apache-2.0 WITH Swift-exception"
            ),
            ("Permission is hereby granted, free of charge ... THE SOFTWARE IS PROVIDED \"AS IS\"", "MIT"),
            ("Redistribution and use in source and binary forms ... Neither the name of", "BSD-3-Clause"),
            ("Redistribution and use in source and binary forms", "BSD-2-Clause"),
            ("Permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"),
            ("Mozilla Public License Version 2.0", "MPL-2.0"), ("All rights reserved", nil), ("", nil),
        ] as [(String, String?)])
    func identify(text: String, identifier: String?) {
        #expect(Licence.identify(text) == identifier)
    }

    @Test(
        "Are in files of these names",
        arguments: [
            ("LICENSE", true), ("LICENSE.txt", true), ("licence.md", true), ("COPYING", true), ("LICENSE-MIT", true),
            ("licenses", false), ("README.md", false), (".licenseignore", false),
        ])
    func files(name: String, isOne: Bool) {
        #expect(Licence.isLicenceFile(name) == isOne)
    }
}
