// SPDX-License-Identifier: Apache-2.0
//
// Answers requests with files: finds which one is meant, what is wanted of it, and sends that.
//
//   the path's rest ── segments decoded, none hidden ──> opened beneath the folder ──> a folder: its index.html
//                                                        └─> Preconditions ──> ByteRanges ──> the response

public import ApusNet
internal import CApus
internal import HTTPTypes

/// Serves the files of a folder.
///
/// ```swift
/// let files = try FileServer(root: "public")
/// var router = Router()
/// router.get("/static/{path...}", files.handler)      // GET /static/css/site.css: public/css/site.css
/// ```
///
/// It serves what the route's pattern leaves open at its end; for a pattern without a rest, and without a router, the whole
/// path. A folder is answered with its `index.html`; its contents are not listed.
///
/// Nothing outside of the folder is served, by whatever path or symbolic link: the kernel itself looks for files beneath the
/// folder only (`openat2`, Linux 5.6; before that, what was found is compared with where the folder is, which takes `/proc`).
/// Links within the folder work when they are relative. Names that begin with a dot are not found, except for `.well-known`,
/// unless ``servesHiddenFiles`` says so.
///
/// Answers have `Last-Modified`, and an `ETag` made of the time of the last change, the size, and the file's number;
/// conditional requests and ranges are understood as RFC 9110 has them, several ranges too. Files larger than some KiB go from
/// the kernel's cache to the connection without passing through the program. Where a disk must be read, another thread
/// waits for it, not the worker.
public final class FileServer: Sendable {
    /// The file that a folder is answered with.
    public let index: String
    /// Whether names that begin with a dot are served like others.
    public let servesHiddenFiles: Bool
    /// The value of `Cache-Control` with every file; `nil` for no such field, and then caches guess.
    public let cacheControl: String?

    private let folder: ServedFolder

    /// Opens the folder. It stays the same one: if its path becomes that of another folder later, that one is not served.
    ///
    /// - Parameters:
    ///   - root: The folder's path.
    ///   - index: See ``index``.
    ///   - servesHiddenFiles: See ``servesHiddenFiles``.
    ///   - cacheControl: See ``cacheControl``: `public, max-age=3600`.
    /// - Throws: ``SystemError`` when there is no such folder, or when it may not be opened.
    public init(
        root: String, index: String = "index.html", servesHiddenFiles: Bool = false, cacheControl: String? = nil
    ) throws(SystemError) {
        folder = try ServedFolder(root)
        self.index = index
        self.servesHiddenFiles = servesHiddenFiles
        self.cacheControl = cacheControl
    }

    /// What answers requests for files. It keeps the folder open.
    public var handler: Handler {
        { request, response in try self.serve(request, response) }
    }

    private func serve(_ request: Request, _ response: Response) throws {
        guard request.method == .get || request.method == .head else {
            response.headerFields[.allow] = "GET, HEAD"
            return try sendError(.methodNotAllowed, response)
        }
        switch request.withRoutePath({ target(of: $0, request.route?.pattern) }) {
        case .malformed: throw HTTPError(.badRequest)
        case .hidden: throw HTTPError(.notFound)
        case .elsewhere(let path): try redirect(to: path, request, response)
        case .path(let path): try serve(path, request, response)
        }
    }

    // MARK: Which file

    private enum Target {
        /// Relative to the folder; ends with a slash if the request's path does.
        case path(String)
        case elsewhere([UInt8])
        case malformed
        case hidden
    }

    private func target(of path: Span<UInt8>, _ pattern: RoutePattern?) -> Target {
        switch PathCleaning.check(path) {
        case .clean: break
        case .unclean: return .elsewhere(PathCleaning.clean(path))
        case .malformed: return .malformed
        }
        let rest = path.extracting(pattern?.rangeOfRest(in: path) ?? 1..<path.count)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(rest.count)
        var start = 0
        while start < rest.count {
            var end = start
            while end < rest.count, rest[end] != .slash { end += 1 }
            guard let segment = PercentCoding.decode(rest.extracting(start..<end)) else { return .malformed }
            // No file's name has these. (A path is clean, so no segment is empty, `.` or `..`.)
            if segment.contains(where: { $0 == .slash || $0 == 0 }) { return .hidden }
            if segment.first == .dot, !servesHiddenFiles, !segment.elementsEqual(".well-known".utf8) { return .hidden }
            bytes += segment
            if end < rest.count { bytes.append(.slash) }
            start = end + 1
        }
        // A name that is not UTF-8 would become another one.
        guard let text = String(validating: bytes, as: UTF8.self) else { return .hidden }
        return .path(text)
    }

    private func redirect(to path: [UInt8], _ request: Request, _ response: Response) throws {
        let location = String(decoding: PercentCoding.escapingForLocation(path.span), as: UTF8.self)
        try response.redirect(to: location + (request.query.map { "?" + $0 } ?? ""), .temporaryRedirect)
    }

    private func serve(_ path: String, _ request: Request, _ response: Response) throws {
        let isFolder = path.isEmpty || path.utf8.last == .slash
        let file = try open(path.isEmpty ? "." : path)
        if file.kind == APUS_FILE_REGULAR {
            return try answer(request, response, with: file, named: path)
        }
        guard file.kind == APUS_FILE_FOLDER else { throw HTTPError(.notFound) }
        // Relative links in the index mean what they say only behind a slash.
        let requested = request.withRoutePath { path in path.indices.map { path[$0] } }
        guard isFolder, requested.last == .slash else {
            return try redirect(to: requested + [.slash], request, response)
        }
        let page = try open(path + index)
        guard page.kind == APUS_FILE_REGULAR else { throw HTTPError(.notFound) }
        try answer(request, response, with: page, named: index)
    }

    private func open(_ path: String) throws -> ServedFile {
        do throws(SystemError) {
            return try folder.open(path)
        } catch {
            switch error.number {
            case ENOENT, ENOTDIR, EXDEV, ELOOP, ENAMETOOLONG, ENXIO: throw HTTPError(.notFound)
            case EACCES, EPERM: throw HTTPError(.forbidden)
            case EMFILE, ENFILE, ENOMEM: throw HTTPError(.serviceUnavailable)
            default: throw error
            }
        }
    }

    // MARK: What of it

    private func answer(
        _ request: Request, _ response: Response, with file: borrowing ServedFile, named name: String
    ) throws {
        let now = HTTPDate(unixSeconds: apus_unix_seconds())
        response.headerFields[.eTag] = file.tag.description
        // A date in the future would be compared with the clients' clocks (RFC 9110, 8.8.2.1).
        let modified = HTTPDate(unixSeconds: min(file.modified.unixSeconds, now.unixSeconds))
        response.headerFields[.lastModified] = modified.description
        response.headerFields[.acceptRanges] = "bytes"
        if let cacheControl { response.headerFields[.cacheControl] = cacheControl }
        let outcome = Preconditions(request).evaluate(
            method: request.method, tag: file.tag, modified: modified, now: now)
        switch outcome {
        case .failed: return try sendError(.preconditionFailed, response)
        case .notModified: return try response.send(.notModified)
        case .proceed(let mayUseRange):
            let type = response.headerFields[.contentType] ?? MediaType.ofFile(named: name)
            guard mayUseRange, let text = request[.range] else {
                return try send([0..<file.size], of: file, as: type, response)
            }
            switch ByteRanges(text, size: file.size) {
            case .all: try send([0..<file.size], of: file, as: type, response)
            case .parts(let ranges):
                response.status = .partialContent
                try send(ranges, of: file, as: type, response)
            case .unsatisfiable:
                response.headerFields[.contentRange] = "bytes */\(file.size)"
                try sendError(.rangeNotSatisfiable, response)
            }
        }
    }

    private func sendError(_ status: HTTPResponse.Status, _ response: Response) throws {
        response.status = status
        try response.send("\(status.code) \(status.reasonPhrase)\n", contentType: "text/plain; charset=utf-8")
    }

    /// With the status 206 several parts are sent as such, and one with where it is.
    private func send(
        _ ranges: [Range<Int>], of file: borrowing ServedFile, as type: String, _ response: Response
    ) throws {
        if let range = ranges.first, ranges.count == 1 {
            if response.status == .partialContent {
                response.headerFields[.contentRange] = ByteRangeParts.contentRange(range, size: file.size)
            }
            response.headerFields[.contentType] = type
            response.headerFields[.contentLength] = String(range.count)
            return try response.write(range, of: file)
        }
        let parts = ByteRangeParts(
            ranges: ranges, size: file.size, contentType: type, boundary: ByteRangeParts.makeBoundary())
        response.headerFields[.contentType] = parts.multipartType
        response.headerFields[.contentLength] = String(parts.length)
        for range in ranges {
            try response.write(parts.head(of: range))
            try response.write(range, of: file)
        }
        try response.write(parts.end)
    }
}

extension Preconditions {
    init(_ request: Request) {
        ifMatch = request[.ifMatch]
        ifUnmodifiedSince = request[.ifUnmodifiedSince]
        ifNoneMatch = request[.ifNoneMatch]
        ifModifiedSince = request[.ifModifiedSince]
        ifRange = request[.ifRange]
    }
}
