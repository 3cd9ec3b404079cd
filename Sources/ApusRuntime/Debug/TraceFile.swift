// SPDX-License-Identifier: Apache-2.0
//
// The file of a trace: who writes to it takes its lock, formats and writes. Its states:
//
//     open     events are appended
//       |  the process exits; the file is too large; writing fails
//     closed   what comes is dropped
//
// Between two writes the file ends after an event, so that it can be read however the process ends: readers of the format
// do not insist on the closing bracket.

import CApus

typealias TraceFile = RecordReference<TraceFileRecord>

@safe
struct TraceFileRecord: ~Copyable {
    // Protected by `lock`.
    private(set) var text: TraceText
    private(set) var descriptor: Int32
    private(set) var bytesLeft: Int
    private var bytesWritten = 0
    /// Tracks that have a name in the file.
    private var namedTracks: Set<UInt32> = []
    private var names: [UInt64: String] = [:]
    private var flows: UInt64 = 0
    let lock = ThreadLock()

    let path: String

    fileprivate init(path: String, descriptor: Int32, byteLimit: Int, origin: Int64) {
        self.path = path
        self.descriptor = descriptor
        bytesLeft = byteLimit
        text = TraceText(process: Int(apus_process_identifier()), origin: origin)
    }

    fileprivate mutating func begin() {
        text.appendHeader(program: unsafe String(cString: apus_program_name()))
        writeText()
    }

    fileprivate mutating func append(_ events: UnsafeBufferPointer<TraceEvent>) {
        guard descriptor >= 0 else { return }
        for index in events.indices {
            let event = unsafe events[index]
            name(event.track)
            if event.cause != .none {
                name(event.causeTrack)
                flows += 1
            }
            text.append(event, name: event.activity == .run ? names[event.number] : nil, flow: flows)
        }
        writeText()
        if bytesLeft <= 0 {
            end()
            writeError(
                "apus: the trace \(path) has become too large and ends here; APUS_DEBUG=tracelimit=MiB allows more\n")
        }
    }

    fileprivate mutating func end() {
        guard descriptor >= 0 else { return }
        text.appendFooter()
        writeText()
        close()
    }

    fileprivate mutating func setName(_ name: String, of goroutine: UInt64) {
        if descriptor >= 0 { names[goroutine] = name }
    }

    private mutating func name(_ track: UInt32) {
        if namedTracks.insert(track).inserted { text.appendName(ofTrack: track) }
    }

    private mutating func writeText() {
        let descriptor = descriptor
        let error = unsafe text.bytes.withUnsafeBytes { bytes in
            unsafe apus_file_write(descriptor, bytes.baseAddress!, bytes.count)
        }
        let count = text.bytes.count
        bytesLeft -= count
        text.removeAll()
        if error != 0 {
            // A part of the text may be in the file.
            apus_file_cut(descriptor, Int64(bytesWritten))
            writeError("apus: cannot write to the trace \(path): \(errorText(-error)); it ends here\n")
            return close()
        }
        bytesWritten += count
    }

    private mutating func close() {
        apus_descriptor_close(descriptor)
        descriptor = -1
        names = [:]
    }
}

extension RecordReference where Record == TraceFileRecord {
    /// Opens the file that `APUS_TRACE` names. Nil, with a sentence for the user, when that cannot be.
    static func open(path: String, byteLimit: Int, origin: Int64) -> TraceFile? {
        let path = Self.path(path, process: Int(apus_process_identifier()))
        let descriptor = unsafe apus_file_create(path)
        guard descriptor >= 0 else {
            writeError("apus: cannot write a trace to \(path): \(errorText(-descriptor)); going on without\n")
            return nil
        }
        let memory = unsafe TraceFile.allocate()
        unsafe memory.initialize(
            to: TraceFileRecord(path: path, descriptor: descriptor, byteLimit: byteLimit, origin: origin))
        let file = unsafe TraceFile(memory)
        file.withLock { $0.begin() }
        return file
    }

    /// `%p` is the process: so that a program and the children it starts do not write to the same file.
    static func path(_ text: String, process: Int) -> String {
        var path = ""
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            path += rest[..<percent]
            rest = rest[rest.index(after: percent)...]
            switch rest.first {
            case "p": path += String(process)
            case "%": path += "%"
            case let other?: path += "%" + String(other)
            case nil: path += "%"
            }
            rest = rest.dropFirst()
        }
        return path + rest
    }

    func append(_ events: UnsafeBufferPointer<TraceEvent>) {
        withLock { unsafe $0.append(events) }
    }

    func setName(_ name: String, of goroutine: UInt64) {
        withLock { $0.setName(name, of: goroutine) }
    }

    func end() { withLock { $0.end() } }

    private func withLock(_ body: (inout TraceFileRecord) -> Void) {
        unsafe pointer.pointee.lock.lock()
        defer { unsafe pointer.pointee.lock.unlock() }
        body(&record)
    }
}

private func errorText(_ error: Int32) -> String {
    var text = [CChar](repeating: 0, count: 128)
    unsafe apus_errno_message(error, &text, text.count)
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
