// SPDX-License-Identifier: Apache-2.0
//
// What an image says of where it comes from, in the words of the OCI image specification (annotations).

/// The labels that git knows.
enum ImageLabels {
    /// - Parameters:
    ///   - title: What the program is called.
    ///   - git: The repository's state; `nil` where there is none.
    static func labels(title: String, created: Int, git: GitState?) -> [String: String] {
        let prefix = "org.opencontainers.image."
        var labels = [prefix + "title": title, prefix + "created": Documents.text(ofTime: created)]
        guard let git else { return labels }
        labels[prefix + "revision"] = git.commit + (git.isDirty ? "-dirty" : "")
        labels[prefix + "version"] = git.description
        if let remote = git.remote, let source = webAddress(of: remote) { labels[prefix + "source"] = source }
        return labels
    }

    /// `git@host:team/server.git` as people open it: `https://host/team/server`. `nil` for a folder.
    static func webAddress(of remote: String) -> String? {
        var rest: Substring
        if let scheme = remote.firstRange(of: "://") {
            guard ["https", "http", "ssh", "git"].contains(remote[..<scheme.lowerBound]) else { return nil }
            rest = remote[scheme.upperBound...]
            let isWeb = remote.hasPrefix("http")
            var host = rest.prefix { $0 != "/" }
            let path = rest[host.endIndex...]
            if let at = host.lastIndex(of: "@") { host = host[host.index(after: at)...] }
            // The port of ssh is not the web's.
            if !isWeb, let colon = host.lastIndex(of: ":") { host = host[..<colon] }
            rest = Substring((remote.hasPrefix("http://") ? "http://" : "https://") + host + path)
        } else {
            guard let colon = remote.firstIndex(of: ":"), !remote[..<colon].contains("/") else { return nil }
            var host = remote[..<colon]
            if let at = host.lastIndex(of: "@") { host = host[host.index(after: at)...] }
            rest = Substring("https://" + host + "/" + remote[remote.index(after: colon)...].drop { $0 == "/" })
        }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        return String(rest.hasSuffix(".git") ? rest.dropLast(4) : rest)
    }
}
