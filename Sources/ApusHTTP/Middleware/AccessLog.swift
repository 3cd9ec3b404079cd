// SPDX-License-Identifier: Apache-2.0
//
// A line in the log for every request.

internal import ApusNet
internal import ApusRuntime
internal import HTTPTypes
public import Logging

/// Middleware that logs every request when it has been answered.
///
/// ```swift
/// import Logging
///
/// var router = Router()
/// router.use(accessLog(Logger(label: "access")))
/// router.get("/") { _, response in try response.send("hello") }
/// ```
///
/// The message is method, path and status. The metadata has the same as `method`, `path`, `status`, and besides `bytes` (of
/// the body, as it was written), `duration` (`1.25 ms`; until the handler was done), `remote` (the client's address) and
/// `route` (the pattern, if there is one); `error` if the handler threw one. The query is not logged, since queries carry
/// secrets. What could break a line or command a terminal is escaped.
///
/// Used first, it sees what the middleware after it does. A handler that throws is logged with the status that the server
/// is going to answer. One that traps ends the program, as everywhere in Swift: no middleware can catch that.
///
/// - Parameters:
///   - logger: Where the lines go.
///   - level: Their level.
public func accessLog(_ logger: Logger, level: Logger.Level = .info) -> Middleware {
    { next in
        { request, response in
            let begin = MonotonicTime.now
            do {
                try next(request, response)
            } catch {
                let thrown = (error as? HTTPError)?.status ?? .internalServerError
                let status = response.isStarted ? response.status : thrown
                log(request, response, since: begin, to: logger, level, status, error)
                throw error
            }
            log(request, response, since: begin, to: logger, level, response.status, nil)
        }
    }
}

private func log(
    _ request: Request, _ response: Response, since begin: MonotonicTime, to logger: Logger, _ level: Logger.Level,
    _ status: HTTPResponse.Status, _ error: (any Error)?
) {
    guard level >= logger.logLevel else { return }
    let nanoseconds = MonotonicTime.now.nanoseconds - begin.nanoseconds
    let method = request.method.rawValue
    let path = LogText.escaped(request.path)
    var metadata: Logger.Metadata = [
        "method": "\(method)", "path": "\(path)", "status": "\(status.code)", "bytes": "\(response.bodyBytes)",
        "duration": "\(LogText.milliseconds(nanoseconds)) ms", "remote": "\(request.remoteAddress)",
    ]
    if let route = request.routePattern { metadata["route"] = "\(route)" }
    if let error { metadata["error"] = "\(LogText.escaped("\(error)"))" }
    logger.log(level: level, "\(method) \(path) \(status.code)", metadata: metadata)
}

enum LogText {
    /// A text in which control characters, and what turns the direction of writing or is not seen, are escaped.
    static func escaped(_ text: String) -> String {
        if text.utf8.allSatisfy({ 0x20...0x7E ~= $0 && $0 != UInt8(ascii: "\\") }) { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                escaped += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                if scalar == "\\" { escaped += "\\\\" } else { escaped.unicodeScalars.append(scalar) }
            }
        }
        return escaped
    }

    /// With two decimals: `12.05`.
    static func milliseconds(_ nanoseconds: Int64) -> String {
        let hundredths = max(0, nanoseconds) / 10_000
        return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    }
}
