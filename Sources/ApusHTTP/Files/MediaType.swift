// SPDX-License-Identifier: Apache-2.0
//
// What files are, by the end of their names.

enum MediaType {
    /// The `Content-Type` of a file of this name: `application/octet-stream` when its end is not known.
    static func ofFile(named name: String) -> String {
        guard let dot = name.utf8.lastIndex(of: .dot) else { return unknown }
        let end = name.utf8[name.utf8.index(after: dot)...]
        guard end.count <= 12 else { return unknown }
        return byExtension[String(decoding: end.map(\.lowercasedLetter), as: UTF8.self)] ?? unknown
    }

    private static let unknown = "application/octet-stream"

    /// Those of the IANA's registry that web servers meet. Texts are said to be UTF-8.
    private static let byExtension: [String: String] = [
        "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8", "csv": "text/csv; charset=utf-8", "ics": "text/calendar; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8",
        "md": "text/markdown; charset=utf-8", "txt": "text/plain; charset=utf-8", "log": "text/plain; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8", "xml": "text/xml; charset=utf-8",
        "json": "application/json", "map": "application/json", "jsonld": "application/ld+json",
        "webmanifest": "application/manifest+json", "wasm": "application/wasm", "pdf": "application/pdf",
        "xhtml": "application/xhtml+xml", "atom": "application/atom+xml", "rss": "application/rss+xml",
        "rtf": "application/rtf", "epub": "application/epub+zip", "jar": "application/java-archive",
        "zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "bz2": "application/x-bzip2",
        "xz": "application/x-xz", "zst": "application/zstd", "tar": "application/x-tar",
        "7z": "application/x-7z-compressed",
        "doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
        "avif": "image/avif", "bmp": "image/bmp", "gif": "image/gif", "ico": "image/vnd.microsoft.icon",
        "jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "svg": "image/svg+xml", "tif": "image/tiff",
        "tiff": "image/tiff", "webp": "image/webp",
        "aac": "audio/aac", "flac": "audio/flac", "m4a": "audio/mp4", "mp3": "audio/mpeg", "oga": "audio/ogg",
        "ogg": "audio/ogg", "opus": "audio/ogg", "wav": "audio/wav", "weba": "audio/webm",
        "mp4": "video/mp4", "m4v": "video/mp4", "mpeg": "video/mpeg", "mov": "video/quicktime", "ogv": "video/ogg",
        "webm": "video/webm", "ts": "video/mp2t",
        "otf": "font/otf", "ttf": "font/ttf", "woff": "font/woff", "woff2": "font/woff2",
    ]
}
