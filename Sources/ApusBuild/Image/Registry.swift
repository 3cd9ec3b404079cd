// SPDX-License-Identifier: Apache-2.0
//
// A registry, as the OCI distribution specification 1.1 describes it: blobs and manifests are put into it, after it has
// been told who we are.

internal import FoundationEssentials
internal import SystemPackage

/// The registry of one image, spoken to over HTTP.
actor Registry {
    let reference: ImageReference
    private let invocation: Invocation
    private let curl: Curl
    private let origin: String
    private var credentials: RegistryCredentials?
    private var hasLookedForCredentials = false
    /// What the header `Authorization` says, once the registry has asked for it.
    private var authorization: String?

    /// - Throws: `ToolError` (`usage`) when it would be spoken to without encryption, and nobody has allowed that.
    init(_ reference: ImageReference, allowsPlainHTTP: Bool, _ invocation: Invocation) throws {
        self.reference = reference
        self.invocation = invocation
        self.curl = Curl(commands: invocation.commands)
        let scheme = reference.scheme ?? (allowsPlainHTTP || reference.isLoopback ? "http" : "https")
        if scheme == "http" && !allowsPlainHTTP && !reference.isLoopback {
            throw ToolError(
                "\(reference.host) would be spoken to without encryption", remedy: "--insecure allows it",
                status: .usage)
        }
        origin = "\(scheme)://\(reference.server)"
    }

    /// Asks whether there is a registry, and says who we are.
    func open() async throws {
        let answer = try await send(HTTPRequest(method: "GET", url: origin + "/v2/"))
        guard answer.status == 200 else { throw refusal(answer, "is no registry that can be pushed to") }
    }

    /// Puts a blob into the registry, if it is not there.
    ///
    /// - Returns: Whether it had to be sent.
    func putBlob(_ file: FilePath, digest: Digest) async throws -> Bool {
        let blobs = "\(origin)/v2/\(reference.name)/blobs/"
        let present = try await send(HTTPRequest(method: "HEAD", url: blobs + "\(digest)"))
        switch present.status {
        case 200: return false
        case 404: break
        default: throw refusal(present, "does not say whether it has \(digest)")
        }
        let upload = try await send(HTTPRequest(method: "POST", url: blobs + "uploads/"))
        guard upload.status == 202, let location = upload.value(of: "location") else {
            throw refusal(upload, "takes no upload")
        }
        let answer = try await send(
            HTTPRequest(
                method: "PUT", url: Self.uploadURL(location: location, origin: origin, digest: digest),
                headers: [("Content-Type", "application/octet-stream")], body: .file(file)))
        guard answer.status == 201 else { throw refusal(answer, "did not take \(digest)") }
        return true
    }

    /// Puts a manifest or an index into the registry, under a tag or its digest.
    ///
    /// - Returns: Whether the registry knows of its own that this manifest belongs to another (`subject`).
    @discardableResult
    func putManifest(_ bytes: [UInt8], mediaType: String, as name: String) async throws -> Bool {
        let digest = Digest(of: bytes)
        let answer = try await send(
            HTTPRequest(
                method: "PUT", url: "\(origin)/v2/\(reference.name)/manifests/\(name)",
                headers: [("Content-Type", mediaType)], body: .bytes(bytes)))
        guard answer.status == 201 else { throw refusal(answer, "did not take the manifest \(name)") }
        if let stored = answer.value(of: "docker-content-digest"), stored != "\(digest)" {
            throw ToolError(
                "\(reference.host) has stored the manifest \(name) as \(stored), and it is \(digest)", status: .data)
        }
        return answer.value(of: "oci-subject") != nil
    }

    /// The index that is in the registry under a tag; `nil` if there is none.
    func index(_ tag: String) async throws -> ImageIndex? {
        let answer = try await send(
            HTTPRequest(
                method: "GET", url: "\(origin)/v2/\(reference.name)/manifests/\(tag)",
                headers: [("Accept", MediaType.index)]))
        switch answer.status {
        case 200: return try Documents.decode(ImageIndex.self, from: Array(answer.body.utf8), name: tag)
        case 404: return nil
        default: throw refusal(answer, "does not give the manifest \(tag)")
        }
    }

    /// Where an upload ends: the place that the registry named, with the digest in its query.
    static func uploadURL(location: String, origin: String, digest: Digest) -> String {
        var url = location
        if location.hasPrefix("//") {
            url = origin[..<origin.firstIndex(of: "/")!] + location
        } else if location.hasPrefix("/") {
            url = origin + location
        }
        return url + (url.contains("?") ? "&" : "?") + "digest=\(digest)"
    }

    /// Makes a request; says who we are if the registry asks, and makes it again.
    private func send(_ request: HTTPRequest) async throws -> HTTPAnswer {
        let answer = try await curl.send(authorized(request))
        guard answer.status == 401 else { return answer }
        guard try await authorize(answer) else { return answer }
        return try await curl.send(authorized(request))
    }

    /// Who we are is for this registry alone: an upload may go elsewhere, to a place that its address opens.
    private func authorized(_ request: HTTPRequest) -> HTTPRequest {
        guard let authorization, Curl.origin(of: request.url) == origin else { return request }
        var request = request
        request.headers.append((name: "Authorization", value: authorization))
        return request
    }

    /// - Returns: Whether there is something new to say.
    private func authorize(_ answer: HTTPAnswer) async throws -> Bool {
        if !hasLookedForCredentials {
            credentials = try await RegistryCredentials.find(for: reference.host, invocation)
            hasLookedForCredentials = true
        }
        let challenges = answer.values(of: "www-authenticate").flatMap(RegistryChallenge.parse)
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            authorization = "Bearer " + (try await token(for: bearer))
            return true
        }
        guard challenges.contains(where: { $0.scheme == "basic" }), case .password(let user, let password) = credentials
        else { return false }
        let basic = Self.basic(user: user, password: password)
        defer { authorization = basic }
        return authorization != basic
    }

    private static func basic(user: String, password: String) -> String {
        "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }

    /// Asks the place that the registry named for a token that allows pushing.
    private func token(for challenge: RegistryChallenge) async throws -> String {
        guard let realm = challenge.parameters["realm"] else {
            throw ToolError("\(reference.host) asks for a token and does not say where to get one", status: .data)
        }
        guard realm.hasPrefix("https://") || (realm.hasPrefix("http://") && origin.hasPrefix("http://")) else {
            throw ToolError(
                "\(reference.host) wants to be told who we are without encryption, at \(realm)", status: .noPermission)
        }
        var parameters: [(String, String)] = []
        if let service = challenge.parameters["service"] { parameters.append(("service", service)) }
        parameters.append(("scope", "repository:\(reference.name):pull,push"))
        var request = HTTPRequest(method: "GET", url: realm)
        switch credentials {
        case .identityToken(let token)?:
            parameters += [("grant_type", "refresh_token"), ("client_id", "apus"), ("refresh_token", token)]
            request.method = "POST"
            request.headers = [("Content-Type", "application/x-www-form-urlencoded")]
            request.body = .bytes(Array(Self.form(parameters).utf8))
        case .password(let user, let password)?:
            request.url += (realm.contains("?") ? "&" : "?") + Self.form(parameters)
            request.headers = [("Authorization", Self.basic(user: user, password: password))]
        case nil:
            request.url += (realm.contains("?") ? "&" : "?") + Self.form(parameters)
        }
        struct Answer: Decodable {
            var token: String?
            var access_token: String?
        }
        let answer = try await curl.send(request)
        guard answer.status == 200 else {
            throw refusal(answer, "does not know us: \(Curl.origin(of: realm)) gave no token")
        }
        let tokens = try Documents.decode(Answer.self, from: Array(answer.body.utf8), name: "the answer of \(realm)")
        guard let token = tokens.token ?? tokens.access_token, !token.isEmpty else {
            throw ToolError("the answer of \(realm) holds no token", status: .data)
        }
        return token
    }

    /// Parameters of a form or a query.
    static func form(_ parameters: [(String, String)]) -> String {
        parameters.map { "\(escaped($0.0))=\(escaped($0.1))" }.joined(separator: "&")
    }

    /// A part of an address: everything but letters, digits and `-._~` as `%XX`.
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.append(byte)
            default: result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// An error with the registry's own words, where it has said some.
    private func refusal(_ answer: HTTPAnswer, _ what: String) -> ToolError {
        struct Errors: Decodable {
            struct One: Decodable {
                var code: String?
                var message: String?
            }
            var errors: [One]
        }
        let errors = try? Documents.decode(Errors.self, from: Array(answer.body.utf8), name: "")
        let said = errors?.errors.first.flatMap { $0.message ?? $0.code }.map { ", \($0)" } ?? ""
        let isOurFault = answer.status == 401 || answer.status == 403
        return ToolError(
            "\(reference.host) \(what) (status \(answer.status)\(said))",
            remedy: isOurFault ? "docker login \(reference.host)" : nil,
            status: isOurFault ? .noPermission : .unavailable)
    }
}
