// SPDX-License-Identifier: Apache-2.0
//
// What a program is made of, as an SPDX 2.3 document in JSON: the program, the packages that were chosen for it, and what
// the toolchain puts into a static program. The same program gives the same bytes.

internal import Crypto
internal import FoundationEssentials
internal import SystemPackage

/// What is known of a program's parts.
public struct BillOfMaterials: Sendable {
    /// A package that the program was built from.
    public struct Package: Sendable, Equatable {
        public var name: String
        /// `nil`: not known.
        public var version: String?
        /// Where it was got from: `git+https://…@commit`. `nil`: not known.
        public var location: String?
        /// A package URL.
        public var url: String?
        /// SPDX identifiers.
        public var licences: [String]

        public init(
            name: String, version: String?, location: String? = nil, url: String? = nil, licences: [String] = []
        ) {
            self.name = name
            self.version = version
            self.location = location
            self.url = url
            self.licences = licences
        }

        /// A dependency.
        init(_ pin: ResolvedPackages.Pin, licences: [String]) {
            let version = pin.version ?? pin.revision
            let web = ImageLabels.webAddress(of: pin.location)
            self.init(
                name: pin.name, version: version,
                location: web.map { "git+\($0)" + (pin.revision.map { "@\($0)" } ?? "") },
                // The type `swift` of package URLs: host and owner, the name, the version.
                url: web.map { "pkg:swift/" + $0.drop { $0 != ":" }.dropFirst(3) + (version.map { "@\($0)" } ?? "") },
                licences: licences)
        }
    }

    /// What is described: the product.
    public var product: Package
    public var programs: [ImageProgram]
    /// Packages that were chosen for it.
    public var dependencies: [Package]
    /// What is linked into each static program.
    public var toolchain: [Package]
    /// Seconds since 1970.
    public var created: Int

    public init(
        product: Package, programs: [ImageProgram], dependencies: [Package], toolchain: [Package], created: Int
    ) {
        self.product = product
        self.programs = programs
        self.dependencies = dependencies
        self.toolchain = toolchain
        self.created = created
    }

    /// The document.
    public func encoded() throws -> [UInt8] {
        var document = SPDXDocument(
            name: product.name, documentNamespace: "",
            creationInfo: .init(
                created: Documents.text(ofTime: created), creators: ["Tool: apus-\(ToolVersion.current)"]),
            packages: [], files: [], relationships: [])

        var identifiers: Set<String> = []
        /// A program may be called as one of the packages that it is made of.
        func unused(_ identifier: String) -> String {
            var result = identifier
            var number = 2
            while !identifiers.insert(result).inserted {
                result = "\(identifier)-\(number)"
                number += 1
            }
            return result
        }
        func add(_ package: Package, purpose: String) -> String {
            let identifier = unused(SPDXDocument.identifier("Package", package.name))
            document.packages.append(SPDXDocument.Package(package, identifier: identifier, purpose: purpose))
            return identifier
        }
        func relate(_ element: String, _ type: String, _ other: String) {
            document.relationships.append(
                .init(spdxElementId: element, relationshipType: type, relatedSpdxElement: other))
        }

        let main = add(product, purpose: "APPLICATION")
        relate(SPDXDocument.documentIdentifier, "DESCRIBES", main)
        for program in programs {
            let name = "\(product.name)-\(program.platform.fileSuffix)"
            let identifier = SPDXDocument.identifier("File", name)
            document.files.append(
                .init(
                    identifier: identifier, fileName: "./\(name)", fileTypes: ["BINARY"],
                    checksums: try Self.checksums(of: program.file)))
            relate(main, "CONTAINS", identifier)
        }
        for package in dependencies { relate(main, "DEPENDS_ON", add(package, purpose: "LIBRARY")) }
        for package in toolchain { relate(main, "STATIC_LINK", add(package, purpose: "LIBRARY")) }

        // Each document has an address of its own, which need not lead anywhere: one that follows from its content.
        document.documentNamespace =
            "https://spdx.org/spdxdocs/\(SPDXDocument.identifier("apus", product.name).dropFirst(8))-"
            + ContentHash.of(try Documents.encode(document))
        return try Documents.encodeReadably(document)
    }

    private static func checksums(of file: FilePath) throws -> [SPDXDocument.Checksum] {
        var old = Insecure.SHA1()
        var new = SHA256()
        try Files.readPieces(of: file) { piece in
            unsafe piece.withUnsafeBytes { bytes in
                unsafe old.update(bufferPointer: bytes)
                unsafe new.update(bufferPointer: bytes)
            }
        }
        return [
            // SPDX 2.3 demands this one of each file.
            .init(algorithm: "SHA1", checksumValue: ContentHash.hexadecimal(old.finalize())),
            .init(algorithm: "SHA256", checksumValue: ContentHash.hexadecimal(new.finalize())),
        ]
    }
}

/// The document's form.
struct SPDXDocument: Codable {
    struct CreationInfo: Codable {
        var created: String
        var creators: [String]
    }

    struct Reference: Codable {
        var referenceCategory = "PACKAGE-MANAGER"
        var referenceType = "purl"
        var referenceLocator: String
    }

    struct Package: Codable {
        var identifier: String
        var name: String
        var versionInfo: String?
        var downloadLocation: String
        var filesAnalyzed = false
        var licenseConcluded = "NOASSERTION"
        var licenseDeclared: String
        var copyrightText = "NOASSERTION"
        var supplier = "NOASSERTION"
        var primaryPackagePurpose: String
        var externalRefs: [Reference]?

        enum CodingKeys: String, CodingKey {
            case identifier = "SPDXID"
            case name, versionInfo, downloadLocation, filesAnalyzed, licenseConcluded, licenseDeclared, copyrightText
            case supplier, primaryPackagePurpose, externalRefs
        }

        init(_ package: BillOfMaterials.Package, identifier: String, purpose: String) {
            self.identifier = identifier
            name = package.name
            versionInfo = package.version
            downloadLocation = package.location ?? "NOASSERTION"
            licenseDeclared = Licence.expression(package.licences)
            primaryPackagePurpose = purpose
            externalRefs = package.url.map { [Reference(referenceLocator: $0)] }
        }
    }

    struct Checksum: Codable {
        var algorithm: String
        var checksumValue: String
    }

    struct File: Codable {
        var identifier: String
        var fileName: String
        var fileTypes: [String]
        var checksums: [Checksum]
        var licenseConcluded = "NOASSERTION"
        var copyrightText = "NOASSERTION"

        enum CodingKeys: String, CodingKey {
            case identifier = "SPDXID"
            case fileName, fileTypes, checksums, licenseConcluded, copyrightText
        }
    }

    struct Relationship: Codable {
        var spdxElementId: String
        var relationshipType: String
        var relatedSpdxElement: String
    }

    static let documentIdentifier = "SPDXRef-DOCUMENT"

    var spdxVersion = "SPDX-2.3"
    var dataLicense = "CC0-1.0"
    var identifier = SPDXDocument.documentIdentifier
    var name: String
    var documentNamespace: String
    var creationInfo: CreationInfo
    var packages: [Package]
    var files: [File]
    var relationships: [Relationship]

    enum CodingKeys: String, CodingKey {
        case identifier = "SPDXID"
        case spdxVersion, dataLicense, name, documentNamespace, creationInfo, packages, files, relationships
    }

    /// Letters, digits, dots and hyphens are what an identifier may hold.
    static func identifier(_ kind: String, _ name: String) -> String {
        let allowed = name.unicodeScalars.map { scalar -> Character in
            let isAllowed =
                scalar.isASCII && (scalar.properties.isAlphabetic || "0123456789.-".unicodeScalars.contains(scalar))
            return isAllowed ? Character(scalar) : "-"
        }
        return "SPDXRef-\(kind)-" + String(allowed)
    }
}
