// SPDX-License-Identifier: Apache-2.0
//
// Pushing to a real registry, Debian's docker-registry. With TLS, tokens and helpers: .ci/check-tool-image.

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Pushing images", .enabled(if: hasProgram("docker-registry"), "docker-registry is not installed"))
struct ImagePushTests {
    @Test("What was pushed can be pulled, and is not sent twice")
    func push() async throws {
        try await withTemporaryFolder { folder in
            try await withRegistry(folder) { address in
                let reference = try ImageReference(parsing: "\(address)/team/server:1.0")
                let (invocation, sayings) = try testInvocation(in: folder, isVerbose: true)
                let maker = await ImageMaker(invocation, project: nil)
                let recipe = try testRecipe(in: folder, platforms: ["amd64", "arm64"])
                let bill = try maker.bill(of: "server", recipe.programs, checkouts: [], toolchain: [])
                var digests = Set<Digest>()
                for _ in 1...2 {
                    digests.insert(
                        try await maker.make(
                            recipe, named: reference, bill: bill, to: ImageDestinations(push: reference)))
                }
                let digest = try #require(digests.first)
                #expect(digests.count == 1)
                // Five blobs of the image, as both parts share a layer, and two of the bill; then all of them again.
                let words = sayings.text.split(separator: "\n")
                #expect(words.filter { $0.contains(" sent ") }.count == 7)
                #expect(words.filter { $0.contains(" is there already ") }.count == 7)

                let curl = Curl(commands: invocation.commands)
                let pulled = try await curl.send(
                    HTTPRequest(
                        method: "GET", url: "http://\(address)/v2/team/server/manifests/1.0",
                        headers: [("Accept", MediaType.index)]))
                #expect(pulled.status == 200)
                #expect(Digest(of: Array(pulled.body.utf8)) == digest)
                // This registry does not know of attachments, so there is a tag that lists them.
                let list = try await curl.send(
                    HTTPRequest(
                        method: "GET", url: "http://\(address)/v2/team/server/manifests/sha256-\(digest.hexadecimal)",
                        headers: [("Accept", MediaType.index)]))
                let attached = try Documents.decode(ImageIndex.self, from: Array(list.body.utf8), name: "list")
                #expect(attached.manifests.map(\.artifactType) == [MediaType.spdx])
            }
        }
    }

    @Test("A password is asked for, and only the right one opens")
    func password() async throws {
        try await withTemporaryFolder { folder in
            // "me" and "secret", as `htpasswd -B` writes them.
            try Files.write(
                "me:$2b$04$ys5ajC5o98WhQWoenULMeOrKtRKAKeX8zZiDi5kxOn0KzzLlP2ulS\n", to: folder.appending("users"))
            let settings = "auth: {htpasswd: {realm: test, path: \(folder.appending("users"))}}"
            try await withRegistry(folder, settings: settings) { address in
                let reference = try ImageReference(parsing: "\(address)/server:1.0")
                func push() async throws {
                    let (invocation, _) = try testInvocation(in: folder)
                    let maker = await ImageMaker(invocation, project: nil)
                    try await maker.make(
                        try testRecipe(in: folder), named: reference, bill: nil, to: ImageDestinations(push: reference))
                }
                func logIn(_ password: String) throws {
                    let auth = Data("me:\(password)".utf8).base64EncodedString()
                    try Files.write(
                        #"{"auths": {"\#(address)": {"auth": "\#(auth)"}}}"#, to: folder.appending("docker/config.json")
                    )
                }
                let refused = ToolError(
                    "\(address) is no registry that can be pushed to (status 401, authentication required)",
                    remedy: "docker login \(address)", status: .noPermission)
                await #expect(throws: refused) { try await push() }
                try logIn("wrong")
                await #expect(throws: refused) { try await push() }
                try logIn("secret")
                try await push()
            }
        }
    }

    @Test("A registry that is not there is an error with curl's words")
    func unreachable() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            // Port 1 is nobody's.
            let reference = try ImageReference(parsing: "127.0.0.1:1/server")
            let registry = try Registry(reference, allowsPlainHTTP: false, invocation)
            await #expect {
                try await registry.open()
            } throws: {
                ($0 as? ToolError)?.message.hasPrefix("cannot reach http://127.0.0.1:1: curl: (7)") == true
            }
        }
    }

    @Test("Other machines are not spoken to without encryption")
    func plain() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            let reference = try ImageReference(parsing: "http://example.com/server")
            #expect(throws: ToolError.self) {
                try Registry(reference, allowsPlainHTTP: false, invocation)
            }
            _ = try Registry(reference, allowsPlainHTTP: true, invocation)
        }
    }
}
