// SPDX-License-Identifier: Apache-2.0
//
// Who we are to a registry: what `docker login` has left in Docker's configuration, or what the credential helper that is
// named there answers.

internal import FoundationEssentials
internal import SystemPackage

/// A name and a password, or a token that stands for both.
public enum RegistryCredentials: Sendable, Equatable {
    case password(user: String, password: String)
    case identityToken(String)
}

/// Docker's configuration file, as far as it is about credentials.
struct DockerConfiguration: Decodable {
    struct Entry: Decodable {
        /// `user:password` in base 64.
        var auth: String?
        var username: String?
        var password: String?
        var identitytoken: String?
    }

    var auths: [String: Entry]?
    var credsStore: String?
    var credHelpers: [String: String]?

    /// The file that counts in this environment.
    static func file(environment: [String: String]) -> FilePath? {
        if let folder = environment["DOCKER_CONFIG"], !folder.isEmpty {
            return FilePath(folder).appending("config.json")
        }
        guard let home = environment["HOME"], !home.isEmpty else { return nil }
        return FilePath(home).appending(".docker").appending("config.json")
    }

    /// Under which names a registry may stand there.
    static func keys(of host: String) -> [String] {
        if host == "docker.io" { return ["https://index.docker.io/v1/", "index.docker.io", "docker.io"] }
        return [host, "https://" + host, "http://" + host, "https://" + host + "/", "https://" + host + "/v2/"]
    }

    /// The helper that knows about a registry, and the name to ask it for.
    func helper(for host: String) -> (name: String, key: String)? {
        for key in Self.keys(of: host) {
            if let helper = credHelpers?[key], !helper.isEmpty { return (helper, key) }
        }
        guard let credsStore, !credsStore.isEmpty else { return nil }
        // A store says nothing to a name that it does not have; Docker itself asks for the one that `auths` lists.
        return (credsStore, Self.keys(of: host).first { auths?[$0] != nil } ?? Self.keys(of: host)[0])
    }

    /// What the file itself holds.
    func credentials(for host: String) -> RegistryCredentials? {
        for key in Self.keys(of: host) {
            guard let entry = auths?[key] else { continue }
            if let token = entry.identitytoken, !token.isEmpty { return .identityToken(token) }
            if let user = entry.username, let password = entry.password {
                return .password(user: user, password: password)
            }
            guard let auth = entry.auth, let bytes = Data(base64Encoded: auth) else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let colon = text.firstIndex(of: ":") else { continue }
            return .password(
                user: String(text[..<colon]), password: String(text[text.index(after: colon)...]))
        }
        return nil
    }
}

/// What a credential helper answers.
struct HelperAnswer: Decodable {
    var user: String
    var secret: String

    enum CodingKeys: String, CodingKey {
        case user = "Username"
        case secret = "Secret"
    }

    /// This user name says that the secret is a token.
    var credentials: RegistryCredentials {
        user == "<token>" ? .identityToken(secret) : .password(user: user, password: secret)
    }
}

extension RegistryCredentials {
    /// Looks for what is known about a registry. `nil`: nothing, so it is asked without a name.
    ///
    /// - Throws: `ToolError` when Docker's configuration is broken, or its helper cannot be run.
    static func find(for host: String, _ invocation: Invocation) async throws -> RegistryCredentials? {
        guard let file = DockerConfiguration.file(environment: invocation.environment), Files.exists(file) else {
            return nil
        }
        let configuration = try Documents.decode(
            DockerConfiguration.self, from: try Files.read(file), name: file.string)
        if let (helper, key) = configuration.helper(for: host) {
            let command = Command("docker-credential-\(helper)", ["get"])
            let answer = try await invocation.commands.capture(command, input: Array(key.utf8))
            if answer.isSuccess {
                return try Documents.decode(
                    HelperAnswer.self, from: Array(answer.output.utf8), name: "the answer of \(command.executable)"
                ).credentials
            }
            // Helpers say so on standard output when they know nothing. Anything else is worth a word.
            if !answer.output.contains("credentials not found") {
                let said = (answer.output + answer.errors).split(separator: "\n").first.map { ": \($0)" } ?? ""
                invocation.console.warn("\(command.executable) cannot say who we are to \(host)\(said)")
            }
        }
        return configuration.credentials(for: host)
    }
}
