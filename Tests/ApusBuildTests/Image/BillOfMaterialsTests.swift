// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Bills of materials")
struct BillOfMaterialsTests {
    @Test("Hold the program, what was chosen for it and what the toolchain adds; the same each time")
    func document() async throws {
        try await withTemporaryFolder { folder in
            let recipe = try testRecipe(in: folder)
            let pin = ResolvedPackages.Pin(
                identity: "swift-log", location: "https://github.com/apple/swift-log.git", revision: "c0ffee",
                version: "1.6.0")
            let bill = BillOfMaterials(
                product: .init(name: "my server", version: "1.0", licences: ["MIT"]), programs: recipe.programs,
                dependencies: [.init(pin, licences: ["Apache-2.0"])],
                toolchain: [.init(name: "glibc", version: nil)], created: 86400)
            let bytes = try bill.encoded()
            #expect(try bill.encoded() == bytes)
            let document = try Documents.decode(SPDXDocument.self, from: bytes, name: "bill")
            #expect(document.spdxVersion == "SPDX-2.3")
            #expect(document.identifier == "SPDXRef-DOCUMENT")
            #expect(document.creationInfo.created == "1970-01-02T00:00:00Z")
            #expect(document.documentNamespace.hasPrefix("https://spdx.org/spdxdocs/apus-my-server-"))
            let log = try #require(document.packages.first { $0.name == "swift-log" })
            #expect(log.downloadLocation == "git+https://github.com/apple/swift-log@c0ffee")
            #expect(log.externalRefs?.map(\.referenceLocator) == ["pkg:swift/github.com/apple/swift-log@1.6.0"])
            #expect(log.licenseDeclared == "Apache-2.0")
            #expect(document.packages.first { $0.name == "glibc" }?.licenseDeclared == "NOASSERTION")
            #expect(
                document.files[0].checksums.map(\.checksumValue) == [
                    // sha1sum and sha256sum of "program for amd64".
                    "bec5c104f086e8522fc546a71032441e76194e67",
                    try ContentHash.ofFile(recipe.programs[0].file),
                ])
            // Whatever is related is there.
            let known = Set(
                document.packages.map(\.identifier) + document.files.map(\.identifier) + ["SPDXRef-DOCUMENT"])
            #expect(known.count == 5)
            for relationship in document.relationships {
                #expect(known.contains(relationship.spdxElementId) && known.contains(relationship.relatedSpdxElement))
            }
            #expect(
                document.relationships.map(\.relationshipType) == [
                    "DESCRIBES", "CONTAINS", "DEPENDS_ON", "STATIC_LINK",
                ])
        }
    }
    @Test("A program may be called as one of its packages")
    func sameNames() throws {
        let bill = BillOfMaterials(
            product: .init(name: "swift", version: nil), programs: [],
            dependencies: [.init(name: "a_b", version: nil), .init(name: "a-b", version: nil)],
            toolchain: [.init(name: "swift", version: "6")], created: 0)
        let document = try Documents.decode(SPDXDocument.self, from: try bill.encoded(), name: "bill")
        #expect(Set(document.packages.map(\.identifier)).count == 4)
    }
}
