// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

/// A recipe with a program that is only bytes.
func testRecipe(in folder: FilePath, platforms: [String] = ["amd64"]) throws -> ImageRecipe {
    let programs = try platforms.map { architecture in
        let file = folder.appending("server-\(architecture)")
        try Files.write("program for \(architecture)", to: file)
        return ImageProgram(platform: Platform(system: "linux", architecture: architecture), file: file)
    }
    var recipe = ImageRecipe(product: "server", programs: programs)
    recipe.system.certificates = .none
    return recipe
}

@Suite("Images")
struct ImageTests {
    @Test("The configuration is the specification's document, byte for byte")
    func configuration() async throws {
        try await withTemporaryFolder { folder in
            var recipe = try testRecipe(in: folder)
            recipe.ports = [try ImagePort(parsing: "8080"), try ImagePort(parsing: "53/udp")]
            recipe.environment = ["MODE=fast", "PATH=/x"]
            recipe.arguments = ["--port", "8080"]
            recipe.labels = ["a": "b"]
            recipe.created = 86400
            let platform = Platform(system: "linux", architecture: "arm", variant: "v7")
            let document = try Documents.encode(recipe.configuration(for: platform, layers: [Digest(of: [])]))
            let time = #""created":"1970-01-02T00:00:00Z""#
            #expect(
                String(decoding: document, as: UTF8.self)
                    == #"{"architecture":"arm","config":{"Cmd":["--port","8080"],"Entrypoint":["/app/server"],"#
                    + #""Env":["HOME="# + ImageUser.nonroot.home
                    + #"","MODE=fast","PATH=/x"],"ExposedPorts":{"53/udp":{},"8080/tcp":{}},"#
                    + #""Labels":{"a":"b"},"StopSignal":"SIGTERM","User":"65532:65532","WorkingDir":"/app"},"# + time
                    + #","history":[{"# + time + #","created_by":"apus image: users, names, certificates"},{"# + time
                    + #","created_by":"apus image: server"}],"os":"linux","rootfs":{"diff_ids":["sha256:"#
                    + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                    + #""],"type":"layers"},"variant":"v7"}"#)
        }
    }

    @Test("The system's files are what a static program looks for")
    func systemFiles() async throws {
        try await withTemporaryFolder { folder in
            let bundle = folder.appending("ca.pem")
            try Files.write("-----BEGIN CERTIFICATE-----\n", to: bundle)
            var system = SystemFiles()
            system.certificates = .file(bundle)
            system.user = try ImageUser(parsing: "1000")
            let tree = try system.tree()
            let homes = "/home"
            func text(_ path: String) -> String? {
                guard case .bytes(let bytes)? = tree[path]?.kind else { return nil }
                return String(decoding: bytes, as: UTF8.self)
            }
            #expect(
                text("/etc/passwd") == """
                    root:x:0:0:root:/root:/sbin/nologin
                    user:x:1000:1000:user:\(homes)/user:/sbin/nologin
                    nonroot:x:65532:65532:nonroot:\(homes)/nonroot:/sbin/nologin

                    """)
            #expect(text("/etc/group") == "root:x:0:\nuser:x:1000:\nnonroot:x:65532:\n")
            #expect(text("/etc/nsswitch.conf") == "passwd: files\ngroup: files\nhosts: files dns\n")
            #expect(text("/etc/ssl/certs/ca-certificates.crt") == "-----BEGIN CERTIFICATE-----\n")
            #expect(tree["/tmp"] == LayerTree.Entry(kind: .folder, permissions: 0o1777, owner: 0))
            #expect(tree["\(homes)/user"] == LayerTree.Entry(kind: .folder, permissions: 0o700, owner: 1000))
            try Files.write("no certificate", to: bundle)
            #expect(throws: ToolError("\(bundle) holds no certificate in PEM", status: .data)) { try system.tree() }
        }
    }

    @Test("The same recipe gives the same bytes, in another folder too")
    func reproducible() async throws {
        try await withTemporaryFolder { folder in
            var archives: [[UInt8]] = []
            for name in ["one", "two"] {
                let here = folder.appending(name)
                let recipe = try testRecipe(in: here, platforms: ["amd64", "arm64"])
                let reference = try ImageReference(parsing: "server:1")
                let layout = try ImageLayout(recipe, in: here.appending("layout"))
                try layout.finish(reference)
                let archive = here.appending("image.tar")
                try layout.write(toArchive: archive, reference, preferred: nil)
                archives.append(try Files.read(archive))
            }
            #expect(archives[0] == archives[1])
        }
    }

    @Test("An image for two platforms is an index, and both share the lower layer")
    func index() async throws {
        try await withTemporaryFolder { folder in
            let layout = try ImageLayout(
                try testRecipe(in: folder, platforms: ["amd64", "arm64"]), in: folder.appending("layout"))
            #expect(layout.image.mediaType == MediaType.index)
            let index = try Documents.decode(
                ImageIndex.self, from: try Files.read(layout.store.file(of: layout.image.digest)), name: "index")
            #expect(index.manifests.map(\.platform?.architecture) == ["amd64", "arm64"])
            #expect(layout.parts[0].layers[0] == layout.parts[1].layers[0])
            #expect(layout.parts[0].layers[1] != layout.parts[1].layers[1])
            // Two lower layers would be one blob; the others are each for itself.
            #expect(layout.blobs.count == 5)
            for blob in layout.blobs + layout.manifests {
                let file = layout.store.file(of: blob.digest)
                #expect(try ContentHash.ofFile(file) == blob.digest.hexadecimal)
                #expect(try Files.size(of: file) == blob.size)
            }
        }
    }

    @Test("Nothing is replaced that is not an image's")
    func occupied() async throws {
        try await withTemporaryFolder { folder in
            let layout = try ImageLayout(try testRecipe(in: folder), in: folder.appending("layout"))
            try layout.finish(try ImageReference(parsing: "server"))
            let place = folder.appending("place")
            try Files.write("precious", to: place.appending("file"))
            #expect(throws: ToolError("\(place) is there, and is not an image's folder", status: .cannotCreate)) {
                try layout.write(toFolder: place)
            }
            #expect(try Files.readText(place.appending("file")) == "precious")
            try Files.remove(place)
            try layout.write(toFolder: place)
            try layout.write(toFolder: place)
            #expect(try Files.names(in: place) == ["blobs", "index.json", "oci-layout"])
            #expect(try Files.names(in: folder) == ["layout", "place", "server-amd64"])
        }
    }

    @Test(
        "What an image cannot be is refused",
        arguments: ["0", "65536", "http", "80/", "80/icmp", "80/tcp/x", ""])
    func ports(text: String) {
        #expect(throws: ToolError.self) { try ImagePort(parsing: text) }
    }

    @Test(
        "Addresses of repositories become those of pages",
        arguments: [
            ("https://github.com/a/b.git", "https://github.com/a/b"),
            ("git@github.com:a/b.git", "https://github.com/a/b"),
            ("ssh://git@host.org:22/a/b/", "https://host.org/a/b"), ("https://user:secret@host/a", "https://host/a"),
            ("http://host:8080/a.git", "http://host:8080/a"), ("host:a/b", "https://host/a/b"), ("/srv/git/a", nil),
            ("file:///srv/a", nil), ("../a", nil), ("./a:b", nil),
        ] as [(String, String?)])
    func sources(remote: String, page: String?) {
        #expect(ImageLabels.webAddress(of: remote) == page)
    }

    @Test("Labels say what git knows")
    func labels() {
        let git = GitState(
            commit: "c0ffee", time: 86400, isDirty: true, description: "1.0-dirty", remote: "git@host:a/b.git")
        #expect(
            ImageLabels.labels(title: "server", created: 86400, git: git) == [
                "org.opencontainers.image.title": "server", "org.opencontainers.image.created": "1970-01-02T00:00:00Z",
                "org.opencontainers.image.revision": "c0ffee-dirty", "org.opencontainers.image.version": "1.0-dirty",
                "org.opencontainers.image.source": "https://host/a/b",
            ])
        #expect(ImageLabels.labels(title: "a", created: 0, git: nil).count == 2)
    }
}
