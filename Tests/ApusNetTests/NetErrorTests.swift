// SPDX-License-Identifier: Apache-2.0

import ApusNet
import CApus
import Testing

@Suite struct NetErrorTests {
    private static let address = SocketAddress("127.0.0.1:9")!

    @Test(arguments: [
        (
            NetError(
                code: .connectionRefused, operation: .connect, address: address,
                underlying: SystemError(errno: ECONNREFUSED)
            ),
            "connect to 127.0.0.1:9: connection refused (ECONNREFUSED \(ECONNREFUSED))"
        ),
        (
            NetError(
                code: .connectionRefused, operation: .connect, address: address, host: "localhost",
                underlying: SystemError(errno: ECONNREFUSED)
            ),
            "connect to localhost (127.0.0.1:9): connection refused (ECONNREFUSED \(ECONNREFUSED))"
        ),
        (
            NetError(
                code: .addressInUse, operation: .bind, address: SocketAddress("[::1]:80"),
                underlying: SystemError(errno: EADDRINUSE)
            ),
            "bind to [::1]:80: address already in use (EADDRINUSE \(EADDRINUSE))"
        ),
        (
            NetError(
                code: .brokenPipe, operation: .write, address: address, underlying: SystemError(errno: EPIPE),
                bytesTransferred: 4096
            ),
            "write to 127.0.0.1:9: broken pipe (EPIPE \(EPIPE)) after 4096 bytes"
        ),
        (
            NetError(code: .endOfStream, operation: .read, address: address, bytesTransferred: 1),
            "read from 127.0.0.1:9: unexpected end of stream after 1 byte"
        ),
        (
            NetError(code: .timedOut, operation: .accept, address: address),
            "accept on 127.0.0.1:9: timed out"
        ),
        (
            NetError(code: .closed, operation: .configure, address: address),
            "configure 127.0.0.1:9: closed by this side"
        ),
        (
            NetError(code: .closed, operation: .closeWrite, address: address),
            "close writing to 127.0.0.1:9: closed by this side"
        ),
        (NetError(code: .closed, operation: .listen), "listen: closed by this side"),
        (
            NetError(code: .invalidAddress, operation: .resolve, host: "a\0b"),
            #"resolve "a\0b": invalid address"#
        ),
        (NetError(code: .invalidAddress, operation: .resolve, host: ""), #"resolve "": invalid address"#),
        (
            NetError(code: .other, operation: .read, address: address, underlying: SystemError(errno: EIO)),
            "read from 127.0.0.1:9: input/output error (EIO \(EIO))"
        ),
        (
            NetError(code: .other, operation: .read, address: address, underlying: SystemError(errno: 4242)),
            "read from 127.0.0.1:9: unknown error 4242 (errno 4242)"
        ),
        (NetError(code: .other, operation: .closeRead, address: address), "close reading from 127.0.0.1:9: failed"),
    ])
    func describesItself(_ error: NetError, _ text: String) {
        #expect(error.description == text)
        #expect("\(error as any Error)" == text)
    }

    @Test(arguments: [
        (ECONNREFUSED, NetError.Code.connectionRefused), (ECONNRESET, .connectionReset),
        (ECONNABORTED, .connectionAborted), (EPIPE, .brokenPipe), (ENOTCONN, .notConnected), (ETIMEDOUT, .timedOut),
        (EADDRINUSE, .addressInUse), (EADDRNOTAVAIL, .addressNotAvailable), (EINVAL, .invalidAddress),
        (EHOSTUNREACH, .hostUnreachable), (EHOSTDOWN, .hostUnreachable), (ENETUNREACH, .networkUnreachable),
        (ENETDOWN, .networkUnreachable), (EMFILE, .tooManyOpenFiles), (ENFILE, .tooManyOpenFiles),
        (ENOMEM, .outOfMemory), (ENOBUFS, .outOfMemory), (EACCES, .permissionDenied), (EPERM, .permissionDenied),
        (EMSGSIZE, .messageTooLong), (EAFNOSUPPORT, .unsupported), (EIO, .other), (4242, .other),
    ])
    func knowsWhatNumbersMean(_ number: Int32, _ code: NetError.Code) {
        #expect(NetError.Code(SystemError(errno: number)) == code)
    }

    @Test func knowsEveryNumberThatSocketsGive() {
        for number in [ECONNREFUSED, EADDRINUSE, EMFILE, ENFILE, EPIPE, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENOSPC] {
            let error = SystemError(errno: number)
            #expect(error.name?.hasPrefix("E") == true)
            #expect(!error.message.isEmpty)
            #expect(error.description == "\(error.name!) \(number)")
        }
        #expect(SystemError(errno: ENOENT).message == "No such file or directory")
        #expect(SystemError(errno: 4242).name == nil)
        #expect(SystemError(errno: -1).message.isEmpty == false)
    }

    @Test func knowsWhatNameServersSay() {
        let error = NetError(
            code: .hostNotFound, operation: .resolve, address: Self.address, host: "host.example",
            underlying: SystemError(resolver: 3))
        #expect(error.description == "resolve host.example (127.0.0.1:9): host not found (NXDOMAIN 3)")
        #expect(NetError.Code(SystemError(resolver: 3)) == .hostNotFound)
        for number: Int32 in [0, 1, 2, 4, 5, 9, 16, 23, 24, -1] {
            let error = SystemError(resolver: number)
            #expect(NetError.Code(error) == .resolverUnavailable)
            #expect(!error.message.isEmpty)
            #expect(error.source == .resolver && error != SystemError(errno: number))
        }
        #expect(SystemError(resolver: 2).description == "SERVFAIL 2")
        #expect(SystemError(resolver: 2).message == "The server failed")
        #expect(SystemError(resolver: 24).description == "response code 24")
    }

    @Test func codesHaveDistinctWords() {
        let codes: [NetError.Code] = [
            .closed, .timedOut, .endOfStream, .connectionRefused, .connectionReset, .connectionAborted, .brokenPipe,
            .notConnected, .addressInUse, .addressNotAvailable, .invalidAddress, .hostUnreachable, .networkUnreachable,
            .hostNotFound, .resolverUnavailable, .tooManyOpenFiles, .outOfMemory, .permissionDenied, .messageTooLong,
            .unsupported, .other,
        ]
        #expect(Set(codes).count == codes.count)
        #expect(Set(codes.map(\.description)).count == codes.count)
    }
}
