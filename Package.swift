// swift-tools-version: 6.2
import PackageDescription

var swiftSettings: [SwiftSetting] = [
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
// `.ci/run` sets this: a warning in our own code stops the build there, never in a package that depends on us.
if Context.environment["APUS_WARNINGS_AS_ERRORS"] != nil {
    swiftSettings.append(.treatAllWarnings(as: .error))
}

// `Apus` re-exports these. Whoever imports it depends on them by name too: SwiftPM builds a module again when one of those
// it names has changed, and `Apus` itself stays the same when they do. Its clients would then be linked as they were.
let apus: [Target.Dependency] = ["Apus", "ApusRuntime", "ApusNet"]

let package = Package(
    name: "apus",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Apus", targets: ["Apus", "ApusRuntime", "ApusNet"]),
        .library(name: "ApusRuntime", targets: ["ApusRuntime"]),
        .library(name: "ApusNet", targets: ["ApusNet"]),
        .library(name: "ApusHTTP", targets: ["ApusHTTP"]),
        .library(name: "ApusHTTPFoundation", targets: ["ApusHTTPFoundation"]),
        .library(name: "ApusMetrics", targets: ["ApusMetrics"]),
        .library(name: "ApusBenchmark", targets: ["ApusBenchmark"]),
        .executable(name: "apus", targets: ["apus"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        // Of ApusMetrics alone: who does not use that product does not build it.
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        // Of ApusHTTP alone.
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        // Of the build tool alone.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0", traits: []),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    ],
    targets: [
        .target(name: "CApus"),
        .target(name: "ApusRuntime", dependencies: ["CApus"], swiftSettings: swiftSettings),
        .target(name: "ApusNet", dependencies: ["ApusRuntime", "CApus"], swiftSettings: swiftSettings),
        .target(name: "Apus", dependencies: ["ApusRuntime", "ApusNet"], swiftSettings: swiftSettings),
        .target(
            name: "ApusHTTP",
            dependencies: [
                "ApusRuntime", "ApusNet", "CApus", .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),
        // What of HTTP needs Foundation: JSON.
        .target(
            name: "ApusHTTPFoundation",
            dependencies: ["ApusHTTP", "ApusRuntime", .product(name: "HTTPTypes", package: "swift-http-types")],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "ApusMetrics",
            dependencies: ["ApusRuntime", .product(name: "CoreMetrics", package: "swift-metrics")],
            swiftSettings: swiftSettings
        ),

        // Benchmarks among tests, for `apus test -bench`.
        .target(name: "ApusBenchmark", swiftSettings: swiftSettings),
        .testTarget(name: "ApusBenchmarkTests", dependencies: ["ApusBenchmark"], swiftSettings: swiftSettings),

        // The build tool: what it decides, and its command line.
        .target(name: "CApusBuild"),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "ApusBuild",
            dependencies: [
                "CApusBuild", "CZlib", .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "apus",
            dependencies: [
                "ApusBuild", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: swiftSettings
        ),

        .executableTarget(
            name: "echo",
            dependencies: apus + [.product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/echo",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "c10k",
            dependencies: apus + [.product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/c10k",
            swiftSettings: swiftSettings
        ),

        .executableTarget(
            name: "hello-http",
            dependencies: apus + ["ApusHTTP", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/hello-http",
            swiftSettings: swiftSettings
        ),

        .executableTarget(
            name: "chat",
            dependencies: apus + [
                "ApusHTTP", .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Examples/chat",
            swiftSettings: swiftSettings
        ),

        .executableTarget(
            name: "reverse-proxy",
            dependencies: apus + [
                "ApusHTTP", .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Examples/reverse-proxy",
            swiftSettings: swiftSettings
        ),

        // A calculation by goroutines that the benchmarks measure and the tests run.
        .target(
            name: "PowerSeries", dependencies: apus, path: "Benchmarks/Sources/PowerSeries",
            swiftSettings: swiftSettings),

        // A program that the tests start as a child, because it is meant to crash, to overflow or to be killed.
        .executableTarget(
            name: "apus-test-programs",
            dependencies: apus + ["CApus", "PowerSeries"],
            path: "Tests/Programs",
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ApusRuntimeTests",
            dependencies: ["ApusRuntime", "CApus", "apus-test-programs"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ApusNetTests",
            dependencies: ["ApusNet", "ApusRuntime", "CApus", "apus-test-programs"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ApusHTTPTests",
            dependencies: [
                "ApusHTTP", "ApusNet", "ApusRuntime", "CApus",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ApusHTTPFoundationTests",
            dependencies: [
                "ApusHTTPFoundation", "ApusHTTP", "ApusNet", "ApusRuntime",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ApusMetricsTests",
            dependencies: [
                "ApusMetrics", "ApusRuntime", .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ExamplesTests",
            dependencies: apus + [
                "ApusHTTP", "CApus", "echo", "c10k", "hello-http", "chat", "reverse-proxy",
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ApusBuildTests",
            dependencies: [
                "ApusBuild", "apus", .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
            swiftSettings: swiftSettings
        ),
        .testTarget(name: "ApusTests", dependencies: apus, swiftSettings: swiftSettings),
    ]
)

// `.ci/run` sets this where nothing of the build tool runs: with its dependencies it is half of a build.
if Context.environment["APUS_WITHOUT_TOOL"] != nil {
    let tool: Set = ["CApusBuild", "CZlib", "ApusBuild", "apus", "ApusBuildTests"]
    package.targets.removeAll { tool.contains($0.name) }
    package.products.removeAll { tool.contains($0.name) }
}
