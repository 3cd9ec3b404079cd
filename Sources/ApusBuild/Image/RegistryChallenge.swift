// SPDX-License-Identifier: Apache-2.0
//
// How a registry asks who we are: the header `WWW-Authenticate`, of RFC 9110, section 11.6.1.

/// A scheme and its parameters: `Bearer realm="https://auth.example.com/token",service="registry"`.
struct RegistryChallenge: Sendable, Equatable {
    /// In lower case.
    var scheme: String
    /// Names are in lower case.
    var parameters: [String: String]

    /// All challenges of one header, in order. What is not one is left out.
    static func parse(_ header: String) -> [RegistryChallenge] {
        var challenges: [RegistryChallenge] = []
        var rest = Substring(header)

        func skip(_ characters: String) {
            while let first = rest.first, characters.contains(first) { rest.removeFirst() }
        }
        func token() -> Substring {
            let end = rest.firstIndex { " \t,=\"".contains($0) } ?? rest.endIndex
            defer { rest = rest[end...] }
            return rest[..<end]
        }
        func value() -> String {
            guard rest.first == "\"" else { return String(token()) }
            rest.removeFirst()
            var text = ""
            while let character = rest.popFirst(), character != "\"" {
                text.append(character == "\\" ? rest.popFirst() ?? character : character)
            }
            return text
        }

        while true {
            skip(" \t,")
            if rest.isEmpty { return challenges }
            let word = token()
            skip(" \t")
            if word.isEmpty {
                rest.removeFirst()
            } else if rest.first == "=", !challenges.isEmpty {
                rest.removeFirst()
                skip(" \t")
                challenges[challenges.count - 1].parameters[word.lowercased()] = value()
            } else {
                challenges.append(RegistryChallenge(scheme: word.lowercased(), parameters: [:]))
            }
        }
    }
}
