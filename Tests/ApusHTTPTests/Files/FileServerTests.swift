// SPDX-License-Identifier: Apache-2.0
//
// Files over HTTP: which are found and which must not be, conditions, ranges.

import ApusNet
import ApusRuntime
import CApus
import Foundation
import Testing

@testable import ApusHTTP

@Suite("FileServer")
struct FileServerTests {
    /// A folder that is served, in one that is not, for as long as this exists.
    private final class Site {
        let outside: URL
        let root: URL

        init() throws {
            outside = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
            root = outside.appendingPathComponent("root")
            try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(at: outside) }

        func write(_ path: String, _ text: String) throws { try write(path, Data(text.utf8)) }

        func write(_ path: String, _ data: Data) throws {
            let file = root.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try data.write(to: file)
        }

        func link(_ path: String, to destination: String) throws {
            try FileManager.default.createSymbolicLink(
                atPath: root.appendingPathComponent(path).path, withDestinationPath: destination)
        }

        /// Serves it below /static/.
        func serve<Result>(
            _ files: (String) throws -> FileServer = { try FileServer(root: $0) },
            _ body: (LoopbackServer) throws -> Result
        ) throws -> Result {
            var router = Router()
            router.get("/static/{path...}", try files(root.path).handler)
            return try LoopbackServer.with(router.handler, body)
        }
    }

    @Test("Files, folders, and types")
    func found() throws {
        let site = try Site()
        try site.write("index.html", "<p>home")
        try site.write("a b/ü.txt", "text")
        try site.write("dir/index.html", "<p>dir")
        try site.write("dir/empty", "")
        try site.write("bare/x.css", "p {}")
        try site.write(".well-known/security.txt", "known")
        try site.serve { server throws in
            func expect(_ path: String, _ status: Int, _ text: String? = nil, _ type: String? = nil) throws {
                let answer = try server.get(path)
                #expect(answer.status == status, "\(path)")
                if let text { #expect(answer.text == text, "\(path)") }
                if let type { #expect(answer["content-type"] == type, "\(path)") }
            }
            try expect("/static/", 200, "<p>home", "text/html; charset=utf-8")
            try expect("/static/index.html", 200, "<p>home")
            try expect("/static/a%20b/%C3%BC.txt?x", 200, "text", "text/plain; charset=utf-8")
            try expect("/static/dir/", 200, "<p>dir", "text/html; charset=utf-8")
            try expect("/static/dir/empty", 200, "", "application/octet-stream")
            try expect("/static/bare/x.css", 200, "p {}", "text/css; charset=utf-8")
            try expect("/static/.well-known/security.txt", 200, "known")
            try expect("/static/bare/", 404)
            try expect("/static/none", 404)
            try expect("/static/none/x", 404)
            try expect("/static/index.html/", 404)
            try expect("/static/index.html/x", 404)
            try expect("/static/" + String(repeating: "x", count: 1000), 404)
            let folder = try server.get("/static/dir?a=b")
            #expect(folder.status == 307)
            #expect(folder["location"] == "/static/dir/?a=b")
            #expect(try server.get("/static/a%20b")["location"] == "/static/a%20b/")
            let head = try server.exchange("HEAD /static/index.html")
            #expect(head.status == 200)
            #expect(head["content-length"] == "7")
            #expect(head.body.isEmpty)
        }
    }

    @Test("Nothing outside of the folder, nothing hidden, and nothing that is no file")
    func notFound() throws {
        let site = try Site()
        try Data("secret".utf8).write(to: site.outside.appendingPathComponent("secret"))
        try FileManager.default.createDirectory(
            at: site.outside.appendingPathComponent("root-too"), withIntermediateDirectories: true)
        try Data("secret".utf8).write(to: site.outside.appendingPathComponent("root-too/secret"))
        try site.write("dir/file", "file")
        try site.write(".hidden", "hidden")
        try site.write("dir/.git/config", "hidden")
        try site.link("up", to: "../secret")
        try site.link("over", to: "../root-too/secret")
        try site.link("absolute", to: site.outside.appendingPathComponent("secret").path)
        try site.link("folder", to: "..")
        try site.link("process", to: "/proc/self")
        try site.link("loop", to: "loop")
        try site.link("inside", to: "dir/./../dir/file")
        try site.link("dir/inside", to: "../dir/file")
        #expect(unsafe mkfifo(site.root.appendingPathComponent("pipe").path, 0o600) == 0)
        try site.serve { server throws in
            for path in [
                "up", "over", "absolute", "folder/secret", "folder/root/dir/file", "process/status", "loop", "pipe",
                ".hidden", "dir/.git/config", "%2ehidden", "dir%2Ffile", "..%2Fsecret", "%2e%2e%2Fsecret",
                "dir/..%2F..%2Fsecret",
                "dir/file%00", "%00", "%FFfile", "/etc/passwd%00",
            ] {
                let answer = try server.get("/static/" + path)
                #expect(answer.status == 404 || answer.status == 307 && path.hasPrefix("/"), "\(path)")
                #expect(!answer.text.contains("secret"), "\(path)")
            }
            for path in ["../secret", "%2e%2e/secret", "dir/../../../secret", ".%2E/secret"] {
                let answer = try server.get("/static/" + path)
                #expect(answer.status == 307, "\(path)")
            }
            #expect(try server.get("/static/%zz").status == 400)
            #expect(try server.get("/static/inside").text == "file")
            #expect(try server.get("/static/dir/inside").text == "file")
        }
    }

    @Test("The same without a router: the whole path counts")
    func withoutRouter() throws {
        let site = try Site()
        try Data("secret".utf8).write(to: site.outside.appendingPathComponent("secret"))
        try site.write("dir/file", "file")
        try LoopbackServer.with(FileServer(root: site.root.path).handler) { server throws in
            #expect(try server.get("/dir/file").text == "file")
            #expect(try server.get("http://test/dir/file").text == "file")
            #expect(try server.get("http://test").status == 404)
            #expect(try server.get("/dir//x/../file")["location"] == "/dir/file")
            #expect(try server.get("/../secret")["location"] == "/secret")
            #expect(try server.get("/%2e%2e%2fsecret").status == 404)
            #expect(try server.get("/%").status == 400)
            #expect(try server.exchange("OPTIONS *").status == 405)
            let post = try server.exchange("POST /dir/file")
            #expect(post.status == 405)
            #expect(post["allow"] == "GET, HEAD")
        }
    }

    @Test("What it may be told: another index, hidden files, Cache-Control; a folder that is not there")
    func options() throws {
        let site = try Site()
        try site.write("home.txt", "home")
        try site.write(".hidden", "hidden")
        let files = { (root: String) in
            try FileServer(root: root, index: "home.txt", servesHiddenFiles: true, cacheControl: "max-age=60")
        }
        try site.serve(files) { server throws in
            let home = try server.get("/static/")
            #expect(home.text == "home")
            #expect(home["cache-control"] == "max-age=60")
            #expect(try server.get("/static/.hidden").text == "hidden")
        }
        let error = #expect(throws: SystemError.self) { try FileServer(root: site.root.path + "/none") }
        #expect(error?.name == "ENOENT")
        #expect(throws: SystemError.self) { try FileServer(root: site.root.path + "/home.txt") }
    }

    @Test("Older kernels' way of staying beneath the folder")
    func portable() throws {
        let site = try Site()
        try Data("secret".utf8).write(to: site.outside.appendingPathComponent("secret"))
        try FileManager.default.createDirectory(
            at: site.outside.appendingPathComponent("root-too"), withIntermediateDirectories: true)
        try Data("secret".utf8).write(to: site.outside.appendingPathComponent("root-too/secret"))
        try site.write("dir/file", "file")
        try site.link("up", to: "../secret")
        try site.link("over", to: "../root-too/secret")
        try site.link("inside", to: "dir/file")
        let folder = try ServedFolder(site.root.path)
        func size(_ path: String) -> Int? { try? folder.open(path, lookup: APUS_LOOKUP_PORTABLE).size }
        #expect(size("dir/file") == 4)
        #expect(size("inside") == 4)
        #expect(size("dir/../dir/file") == 4)
        #expect(size(".") != nil)
        for path in ["up", "over", "../secret", "..", site.outside.appendingPathComponent("secret").path, "none"] {
            #expect(size(path) == nil, "\(path)")
        }
        let everything = try ServedFolder("/")
        #expect((try? everything.open("proc/self/status", lookup: APUS_LOOKUP_PORTABLE).kind) == APUS_FILE_REGULAR)
    }

    @Test("Conditions: tag and date")
    func conditions() throws {
        let site = try Site()
        try site.write("file.txt", "0123456789")
        let path = site.root.appendingPathComponent("file.txt").path
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 784_111_777)], ofItemAtPath: path)
        try site.serve { server throws in
            func get(_ fields: String...) throws -> Answer { try server.get("/static/file.txt", fields) }
            let first = try get()
            #expect(first["last-modified"] == "Sun, 06 Nov 1994 08:49:37 GMT")
            #expect(first["accept-ranges"] == "bytes")
            let tag = try #require(first["etag"])
            #expect(tag.hasPrefix("\"") && tag.hasSuffix("\"") && tag.utf8.count > 4)
            let same = try get("If-None-Match: \"x\", W/\(tag)")
            #expect(same.status == 304)
            #expect(same.body.isEmpty)
            #expect(same["etag"] == tag)
            #expect(same["content-type"] == nil)
            #expect(try get("If-None-Match: \"x\"").status == 200)
            #expect(try get("If-Match: \(tag)").status == 200)
            #expect(try get("If-Match: \"x\"").status == 412)
            #expect(try get("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT").status == 304)
            #expect(try get("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT").status == 200)
            #expect(try get("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT").status == 412)
            #expect(try get("Range: bytes=2-4", "If-Range: \(tag)").text == "234")
            #expect(try get("Range: bytes=2-4", "If-Range: \"x\"").text == "0123456789")
            #expect(try get("Range: bytes=2-4", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT").status == 206)
            // Its bytes change, and so does the tag.
            try site.write("file.txt", "x123456789")
            #expect(try get("If-None-Match: \(tag)").text == "x123456789")
        }
    }

    @Test("Ranges: one, several, and none that is there")
    func ranges() throws {
        let site = try Site()
        try site.write("file.txt", "0123456789")
        try site.write("empty.txt", "")
        try site.serve { server throws in
            func get(_ range: String) throws -> Answer { try server.get("/static/file.txt", ["Range: \(range)"]) }
            let one = try get("bytes=2-4")
            #expect(one.status == 206)
            #expect(one.text == "234")
            #expect(one["content-range"] == "bytes 2-4/10")
            #expect(one["content-length"] == "3")
            #expect(one["content-type"] == "text/plain; charset=utf-8")
            #expect(try get("bytes=-1").text == "9")
            let none = try get("bytes=10-")
            #expect(none.status == 416)
            #expect(none["content-range"] == "bytes */10")
            let nonsense = try get("bytes=4-2")
            #expect(nonsense.status == 200)
            #expect(nonsense["content-range"] == nil)
            let several = try get("bytes=0-1,-2")
            #expect(several.status == 206)
            let type = try #require(several["content-type"])
            let boundary = try #require(type.split(separator: "=").last)
            #expect(type == "multipart/byteranges; boundary=\(boundary)")
            #expect(several["content-length"] == "\(several.body.count)")
            #expect(several["content-range"] == nil)
            #expect(
                several.text == """
                    \r\n--\(boundary)\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
                    \r\n--\(boundary)\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
                    \r\n--\(boundary)--\r\n
                    """)
            // Of an empty file there is no range; of a HEAD neither.
            #expect(try server.get("/static/empty.txt", ["Range: bytes=0-"]).status == 200)
            let head = try server.exchange("HEAD /static/file.txt", ["Range: bytes=0-1"])
            #expect(head.status == 200)
            #expect(head["content-length"] == "10")
        }
    }

    @Test("Files of all sizes arrive as they are", arguments: [0, 1, 8191, 8192, 8193, 16 << 10, 100_000, 3_000_000])
    func sizes(size: Int) throws {
        let site = try Site()
        var random = SplitMix(seed: UInt64(size))
        let data = Data((0..<size).map { _ in UInt8.random(in: 0...255, using: &random) })
        try site.write("file.bin", data)
        try site.serve { server throws in
            let whole = try server.get("/static/file.bin")
            #expect(whole.body == Array(data))
            #expect(whole["content-length"] == "\(size)")
            guard size > 2 else { return }
            let part = try server.get("/static/file.bin", ["Range: bytes=1-\(size - 2)"])
            #expect(part.body == Array(data.dropFirst().dropLast()))
            let parts = try server.get("/static/file.bin", ["Range: bytes=0-\(size / 2),\(size / 2 + 1)-"])
            #expect(parts.body.count == Int(parts["content-length"] ?? ""))
        }
    }

    /// Small ones are read, large ones sent; where a disk must be read first, another thread waits for it.
    @Test("Files that are not in memory", arguments: [5000, 3_000_000])
    func cold(size: Int) throws {
        let site = try Site()
        let data = Data(pattern(size))
        try site.write("file.bin", data)
        let path = site.root.appendingPathComponent("file.bin").path
        let file = unsafe open(path, O_RDWR | O_CLOEXEC)
        try #require(file >= 0)
        defer { close(file) }
        try site.serve { server throws in
            for _ in 0..<3 {
                #expect(fsync(file) == 0)
                posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
                // A file system that has nothing but memory keeps it there.
                let isCold = try !isInMemory(file, size)
                let before = Runtime.metrics.blockingCalls.total
                #expect(try server.get("/static/file.bin").body == Array(data))
                if isCold { #expect(Runtime.metrics.blockingCalls.total > before) }
            }
        }
    }

    /// Looks without having it read, as any attempt to read would.
    private func isInMemory(_ file: Int32, _ size: Int) throws -> Bool {
        let address = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, file, 0)
        try #require(unsafe address != MAP_FAILED)
        defer { unsafe munmap(address, size) }
        var pages = [UInt8](repeating: 0, count: size / Int(sysconf(Int32(_SC_PAGESIZE))) + 1)
        try #require(unsafe mincore(address, size, &pages) == 0)
        return pages.contains { $0 & 1 != 0 }
    }

    @Test("Fields that middleware has set stay with every answer, those of files do not")
    func fieldsOfErrors() throws {
        let site = try Site()
        try site.write("file.txt", "0123456789")
        var router = Router()
        router.use { next in
            { request, response in
                response.headerFields[.accessControlAllowOrigin] = "*"
                response.headerFields[.contentSecurityPolicy] = "default-src 'self'"
                response.headerFields[.cacheControl] = "max-age=60"
                try next(request, response)
            }
        }
        router.get("/static/{path...}", try FileServer(root: site.root.path).handler)
        try LoopbackServer.with(router.handler) { server throws in
            for (path, fields, status) in [
                ("file.txt", [], 200), ("none", [], 404), ("%2ehidden", [], 404), ("%2", [], 400),
                ("file.txt", ["If-Match: \"x\""], 412), ("file.txt", ["Range: bytes=20-"], 416),
            ] {
                let answer = try server.get("/static/" + path, fields)
                #expect(answer.status == status, "\(path)")
                #expect(answer["access-control-allow-origin"] == "*", "\(path)")
                #expect(answer["content-security-policy"] == "default-src 'self'", "\(path)")
            }
            let missing = try server.get("/static/none")
            #expect(missing["etag"] == nil)
            // A file that comes later is not to be taken for missing so long.
            #expect(missing["cache-control"] == nil)
            #expect(missing["content-type"] == "text/plain; charset=utf-8")
        }
    }

    /// A link to the folder is followed once: who changes it makes a new server, or serves what is around it.
    @Test("The folder stays the one that was opened")
    func opened() throws {
        let site = try Site()
        try site.write("old/file", "old")
        try site.write("new/file", "new")
        try site.link("current", to: "old")
        let current = site.root.appendingPathComponent("current").path
        try site.serve({ _ in try FileServer(root: current) }) { server throws in
            #expect(try server.get("/static/file").text == "old")
            try FileManager.default.removeItem(atPath: current)
            try site.link("current", to: "new")
            #expect(try server.get("/static/file").text == "old")
        }
        try site.serve { server throws in
            #expect(try server.get("/static/current/file").text == "new")
            try FileManager.default.removeItem(atPath: current)
            try site.link("current", to: "old")
            #expect(try server.get("/static/current/file").text == "old")
        }
    }

    @Test("Several requests of one connection, small and large files in turn")
    func pipelined() throws {
        let site = try Site()
        try site.write("small", "small")
        try site.write("large", Data(repeating: 7, count: 300_000))
        try site.serve { server throws in
            let connection = try TCPConnection(to: server.address)
            defer { connection.close() }
            let names = ["small", "large", "small", "none", "large"]
            let requests = names.map { "GET /static/\($0) HTTP/1.1\r\nHost: t\r\n\r\n" }.joined()
            let writing = go { try connection.write((requests + "GET /x HTTP/1.0\r\n\r\n").utf8) }
            var rest = try connection.readUntilClosed()[...]
            try writing.join()
            for (name, status, length) in [
                ("small", 200, 5), ("large", 200, 300_000), ("small", 200, 5), ("none", 404, 14),
                ("large", 200, 300_000),
            ] {
                let answer = try Answer(Array(rest))
                #expect(answer.status == status, "\(name)")
                #expect(answer["content-length"] == "\(length)", "\(name)")
                let head = rest.count - answer.body.count
                rest = rest.dropFirst(head + length)
            }
            #expect(rest.starts(with: "HTTP/1.1 404".utf8))
        }
    }

    @Test("A file that becomes shorter while it is sent ends the connection")
    func truncated() throws {
        let site = try Site()
        // More than the connection takes before it is read from.
        try site.write("file", Data(repeating: 1, count: 64 << 20))
        let path = site.root.appendingPathComponent("file").path
        try site.serve { server throws in
            let connection = try TCPConnection(to: server.address)
            defer { connection.close() }
            try connection.write("GET /static/file HTTP/1.1\r\nHost: t\r\n\r\n".utf8)
            var buffer = [UInt8](repeating: 0, count: 100)
            var count = try connection.read(into: &buffer)
            #expect(unsafe truncate(path, 1000) == 0)
            var large = [UInt8](repeating: 0, count: 64 << 10)
            while case let more = try connection.read(into: &large), more > 0 { count += more }
            #expect(count < 64 << 20)
        }
    }

    @Test("Middleware that makes nothing of such a failure does not hide it from the client")
    func truncatedAndSwallowed() throws {
        let site = try Site()
        try site.write("file", Data(repeating: 1, count: 64 << 20))
        let path = site.root.appendingPathComponent("file").path
        let files = try FileServer(root: site.root.path)
        let isCut = Channel<Bool>(capacity: 1)
        try LoopbackServer.with({ request, response in
            guard request.path == "/file" else { return try response.send("behind") }
            do { try files.handler(request, response) } catch { try isCut.send(true) }
        }) { server throws in
            let connection = try TCPConnection(to: server.address)
            defer { connection.close() }
            try connection.write(
                "GET /file HTTP/1.1\r\nHost: t\r\n\r\nGET /behind HTTP/1.1\r\nHost: t\r\n\r\n".utf8)
            var buffer = [UInt8](repeating: 0, count: 100)
            _ = try connection.read(into: &buffer)
            #expect(unsafe truncate(path, 1000) == 0)
            let rest = Data(try connection.readUntilClosed())
            #expect(isCut.receive() == true)
            #expect(rest.range(of: Data("behind".utf8)) == nil)
        }
    }

    @Test("Many at once, from goroutines")
    func concurrent() throws {
        let site = try Site()
        for number in 0..<8 {
            try site.write("\(number)", String(repeating: "\(number)", count: 1 << (2 * number + 3)))
        }
        try site.serve { server throws in
            let workers = (0..<16).map { worker in
                go {
                    for step in 0..<20 {
                        let number = (worker + step) % 8
                        let answer = try server.get("/static/\(number)")
                        #expect(answer.body == Array(String(repeating: "\(number)", count: 1 << (2 * number + 3)).utf8))
                    }
                }
            }
            for worker in workers { try worker.join() }
        }
    }
}
