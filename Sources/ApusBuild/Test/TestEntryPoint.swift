// SPDX-License-Identifier: Apache-2.0
//
// The first lines of every test bundle, in place of SwiftPM's own. They do what those do, and two things more: what tests
// print leaves the process line by line, so that it is in order and a crash takes nothing of it along; and tests run in an
// order that the tool has chosen (`-shuffle`), in one process, so that one that depends on another is found.

internal import SystemPackage

/// The main program of test bundles.
enum TestEntryPoint {
    /// Names a file with the order: for XCTest a test a line, for Swift Testing the filters of tests that run together.
    static let orderVariable = "APUS_TEST_ORDER"

    /// Of this name, since it is the only one that packages of Swift before 5.5 may begin in (they know no `@main`).
    static let fileName = "apus-test-main/main.swift"

    /// The source for a package's bundle. The same for each build, so that nothing is linked again for it.
    static func source(package: String) -> String {
        """
        // Made by `apus test`: where a bundle of tests begins.
        #if canImport(Glibc)
        @preconcurrency import Glibc
        #elseif canImport(Musl)
        @preconcurrency import Musl
        #endif
        #if canImport(Testing)
        import Testing
        #endif
        #if canImport(XCTest)
        import XCTest
        import \(TestRunner.moduleName(package))PackageDiscoveredTests
        #endif

        // By its symbol: whoever names something deprecated is warned.
        @_silgen_name("apus_test_main") private func begin()
        @available(*, deprecated) @_silgen_name("apus_test_main") func apusTestMain() { ApusTestMain.main() }
        begin()

        @available(*, deprecated, message: "Not really: so that tests of deprecated things are named without warnings.")
        struct ApusTestMain {
            /// What the compiler calls for an asynchronous main. XCTest wants one that is not.
            @_silgen_name("$ss13_runAsyncMainyyyyYaKcF")
            private static func runAsyncMain(_ body: @Sendable @escaping () async throws -> ())

            static func main() {
                setvbuf(stdout, nil, _IOLBF, 0)
                let order = order()
                let arguments = CommandLine.arguments
                let library = arguments.firstIndex(of: "--testing-library").map { arguments[$0 + 1] }
                #if canImport(Testing)
                if library == "swift-testing" {
                    runAsyncMain {
                        guard let order else { await Testing.__swiftPMEntryPoint() as Never }
                        await run(order)
                    }
                }
                #endif
                #if canImport(XCTest)
                if library == "xctest" {
                    let tests = __allDiscoveredTests()
                    // An XCTest that was built without Swift Testing does not know of other libraries.
                    var words = arguments
                    if let flag = words.firstIndex(of: "--testing-library") { words.removeSubrange(flag...flag + 1) }
                    XCTMain(order.map { sorted(tests, by: $0) } ?? tests, arguments: words) as Never
                }
                #endif
            }

            /// The lines of the file that gives the order.
            private static func order() -> [String]? {
                guard let path = getenv("\(orderVariable)"), let file = fopen(path, "r") else { return nil }
                defer { fclose(file) }
                var lines: [String] = []
                var line: UnsafeMutablePointer<CChar>?
                var capacity = 0
                while getline(&line, &capacity, file) > 0 {
                    lines.append(String(String(cString: line!).dropLast()))
                }
                free(line)
                return lines
            }

            #if canImport(Testing)
            private static func run(_ order: [String]) async -> Never {
                let words = CommandLine.arguments
                func value(_ flag: String) -> String? { words.firstIndex(of: flag).map { words[$0 + 1] } }
                var status: CInt = 0
                for filters in order {
                    var arguments = __CommandLineArguments_v0()
                    arguments.filter = filters.split(separator: "\\t").map(String.init)
                    arguments.verbosity = value("--verbosity").flatMap { Int($0) } ?? 0
                    arguments.eventStreamOutputPath = value("--event-stream-output-path")
                    #if compiler(>=6.3)
                    arguments.eventStreamSchemaVersion = value("--event-stream-version")
                    #else
                    arguments.eventStreamVersion = value("--event-stream-version").flatMap { Int($0) }
                    #endif
                    arguments.repetitions = value("--repetitions").flatMap { Int($0) }
                    if words.contains("--no-parallel") { arguments.parallel = false }
                    let result = await Testing.__swiftPMEntryPoint(passing: arguments) as CInt
                    if result != 0 { status = result }
                }
                exit(status)
            }
            #endif

            #if canImport(XCTest)
            private static func sorted(_ entries: [XCTestCaseEntry], by order: [String]) -> [XCTestCaseEntry] {
                var places: [String: Int] = [:]
                for (place, test) in order.enumerated() { places[test] = place }
                func place(_ entry: XCTestCaseEntry, _ test: String) -> Int {
                    places[String(reflecting: entry.testCaseClass) + "/" + test] ?? Int.max
                }
                return entries.map { entry in
                    (entry.testCaseClass, entry.allTests.sorted { place(entry, $0.0) < place(entry, $1.0) })
                }.sorted { left, right in
                    (left.1.first.map { place(left, $0.0) } ?? Int.max) < (right.1.first.map { place(right, $0.0) } ?? Int.max)
                }
            }
            #endif
        }

        """
    }

    /// Writes the source, if it is not there already.
    static func place(at file: FilePath, package: String) throws {
        let source = source(package: package)
        if (try? Files.readText(file)) != source { try Files.write(source, to: file) }
    }
}

/// The order of a shuffled run.
struct TestOrder: Sendable, Equatable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64: the same numbers for a seed, on every machine.
    private mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    private mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
        var elements = elements
        for index in elements.indices.reversed().dropLast() {
            elements.swapAt(index, Int(next() % UInt64(index + 1)))
        }
        return elements
    }

    /// The lines of the file for a library's tests. As with Go, what is shuffled is the first level: suites and single functions.
    /// A class of XCTest's stays together too, with its tests in a random order.
    static func lines(
        _ tests: [TestIdentity], among all: [TestIdentity], library: TestLibrary, seed: UInt64
    ) -> [String] {
        // Their own order may depend on how they were found.
        let tests = tests.sorted { $0.id < $1.id }
        var order = TestOrder(seed: seed)
        var names: [String] = []
        var units: [String: [TestIdentity]] = [:]
        for test in tests {
            if units[test.path[0]] == nil { names.append(test.path[0]) }
            units[test.path[0], default: []].append(test)
        }
        let shuffled = order.shuffled(names).map { units[$0] ?? [] }
        switch library {
        case .xctest: return shuffled.flatMap { order.shuffled($0) }.map(\.id)
        case .swiftTesting:
            return shuffled.map { unit in
                TestTargetRun.filters(chosen: unit, among: all).joined(separator: "\t")
            }
        }
    }
}
