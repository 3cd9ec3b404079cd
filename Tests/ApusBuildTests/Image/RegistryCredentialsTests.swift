// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Credentials of registries")
struct RegistryCredentialsTests {
    @Test("Docker's configuration names them in several ways")
    func configuration() throws {
        let text = """
            {"auths": {
                "registry.example.com": {"auth": "\(Data("me:pass:word".utf8).base64EncodedString())"},
                "https://index.docker.io/v1/": {"username": "u", "password": "p"},
                "http://plain:5000": {"identitytoken": "t", "auth": "bWU6"},
                "broken.io": {"auth": "%%%"}, "empty.io": {}
            }, "other": 1}
            """
        let configuration = try Documents.decode(DockerConfiguration.self, from: Array(text.utf8), name: "config.json")
        #expect(configuration.credentials(for: "registry.example.com") == .password(user: "me", password: "pass:word"))
        #expect(configuration.credentials(for: "docker.io") == .password(user: "u", password: "p"))
        #expect(configuration.credentials(for: "plain:5000") == .identityToken("t"))
        for host in ["broken.io", "empty.io", "unknown.io"] { #expect(configuration.credentials(for: host) == nil) }
        #expect(configuration.helper(for: "registry.example.com") == nil)
    }

    @Test("A helper of the registry's comes before the store of all")
    func helpers() throws {
        let text = #"{"credsStore": "store", "credHelpers": {"gcr.io": "gcloud"}, "auths": {"https://b.io": {}}}"#
        let configuration = try Documents.decode(DockerConfiguration.self, from: Array(text.utf8), name: "config.json")
        #expect(try #require(configuration.helper(for: "gcr.io")) == ("gcloud", "gcr.io"))
        #expect(try #require(configuration.helper(for: "b.io")) == ("store", "https://b.io"))
        #expect(try #require(configuration.helper(for: "docker.io")) == ("store", "https://index.docker.io/v1/"))
    }

    @Test("A helper is a program that is asked; what it does not know, the file may")
    func helperProgram() async throws {
        try await withTemporaryFolder { folder in
            try Files.write(
                """
                #!/bin/sh
                read -r host
                case "$1 $host" in
                "get known.io") echo '{"ServerURL":"x","Username":"<token>","Secret":"s"}' ;;
                "get broken.io") echo 'the keyring is locked'; exit 1 ;;
                *) echo 'credentials not found in native keychain'; exit 1 ;;
                esac

                """.utf8, to: folder.appending("docker-credential-test"), permissions: [.ownerReadWriteExecute])
            let auth = Data("a:b".utf8).base64EncodedString()
            try Files.write(
                #"{"credsStore": "test", "auths": {"file.io": {"auth": "\#(auth)"}}}"#,
                to: folder.appending("docker/config.json"))
            let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":" + folder.string
            let (invocation, sayings) = try testInvocation(in: folder, environment: ["PATH": path])
            #expect(try await RegistryCredentials.find(for: "known.io", invocation) == .identityToken("s"))
            #expect(
                try await RegistryCredentials.find(for: "file.io", invocation) == .password(user: "a", password: "b"))
            #expect(sayings.text.isEmpty)
            #expect(try await RegistryCredentials.find(for: "broken.io", invocation) == nil)
            #expect(
                sayings.text
                    == "warning: docker-credential-test cannot say who we are to broken.io: the keyring is locked\n")
        }
    }

    @Test("Without a file nothing is known; a broken one is an error that names it")
    func files() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            #expect(try await RegistryCredentials.find(for: "a.io", invocation) == nil)
            let file = folder.appending("docker/config.json")
            try Files.write("{", to: file)
            await #expect {
                try await RegistryCredentials.find(for: "a.io", invocation)
            } throws: {
                ($0 as? ToolError)?.message.hasPrefix("\(file) is not what it should be") == true
            }
        }
    }
}
