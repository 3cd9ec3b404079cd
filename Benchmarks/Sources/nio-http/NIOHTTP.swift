// SPDX-License-Identifier: Apache-2.0

// The plaintext server as a SwiftNIO user writes it: the pipeline that NIOHTTP1 sets up for servers, and a handler that
// writes its answer when the request has ended. All that one read brought is answered with one flush.

import ArgumentParser
import NIOCore
import NIOHTTP1
import NIOPosix

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The `Date` field's value, made anew each second on an event loop. Only that loop's thread uses it.
final class DateCache {
    private(set) var current = DateCache.format()

    /// To be called on that loop.
    func renewEachSecond(on eventLoop: any EventLoop) {
        eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) { [self] in
            current = Self.format()
            renewEachSecond(on: eventLoop)
        }
    }

    private static func format() -> String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        return String(unsafeUninitializedCapacity: 32) { buffer in
            buffer.withMemoryRebound(to: CChar.self) { text in
                strftime(text.baseAddress!, text.count, "%a, %d %b %Y %H:%M:%S GMT", &parts)
            }
        }
    }
}

final class HelloHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let dates: DateCache
    private let hello: ByteBuffer
    private var head: HTTPRequestHead?
    private var isClosing = false

    init(dates: DateCache, hello: ByteBuffer) {
        self.dates = dates
        self.hello = hello
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
        case .body:
            break
        case .end:
            guard let head = head.take(), !isClosing else { return }
            answer(head, context: context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelReadComplete()
    }

    private func answer(_ request: HTTPRequestHead, context: ChannelHandlerContext) {
        var response = HTTPResponseHead(version: request.version, status: .ok)
        let isFound = request.uri == "/" && request.method == .GET
        if !isFound {
            response.status = .notFound
        }
        response.headers.add(name: "Date", value: dates.current)
        response.headers.add(name: "Content-Type", value: "text/plain")
        response.headers.add(name: "Content-Length", value: isFound ? "13" : "0")
        isClosing = !request.isKeepAlive
        if isClosing {
            response.headers.add(name: "Connection", value: "close")
        } else if request.version == .http1_0 {
            response.headers.add(name: "Connection", value: "keep-alive")
        }
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if isFound {
            context.write(wrapOutboundOut(.body(.byteBuffer(hello))), promise: nil)
        }
        if isClosing {
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
        } else {
            context.write(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

@main
struct NIOHTTP: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nio-http",
        abstract: "An HTTP server on SwiftNIO that answers GET / with Hello, World!"
    )

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks one.")
    var port = 0

    @Option(help: "The number of event loops, each on a thread of its own.")
    var threads = 1

    func validate() throws {
        guard threads > 0 else { throw ValidationError("--threads must be at least 1") }
        guard (0...65535).contains(port) else { throw ValidationError("--port must be from 0 to 65535") }
    }

    func run() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        let hello = ByteBuffer(string: "Hello, World!")
        var dates: [ObjectIdentifier: NIOLoopBound<DateCache>] = [:]
        for loop in group.makeIterator() {
            dates[ObjectIdentifier(loop)] = try loop.submit {
                let cache = DateCache()
                cache.renewEachSecond(on: loop)
                return NIOLoopBound(cache, eventLoop: loop)
            }.wait()
        }
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [dates] channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = HelloHandler(dates: dates[ObjectIdentifier(channel.eventLoop)]!.value, hello: hello)
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        let listener = try bootstrap.bind(host: host, port: port).wait()
        print("listening on \(host):\(listener.localAddress?.port ?? 0)")
        // Whoever started this program waits for the line at the other end of a pipe, where output is held back.
        fflush(nil)
        try listener.closeFuture.wait()
    }
}
