// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A package of its own, so that nobody who depends on Apus gets SwiftNIO and Hummingbird along with it.
let package = Package(
    name: "apus-benchmarks",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "apus-bench", targets: ["apus-bench"]),
        .executable(name: "apus-allocations", targets: ["apus-allocations"]),
        .executable(name: "apus-echo", targets: ["apus-echo"]),
        .executable(name: "apus-lateness", targets: ["apus-lateness"]),
        .executable(name: "nio-echo", targets: ["nio-echo"]),
        .executable(name: "apus-http", targets: ["apus-http"]),
        .executable(name: "apus-udp-echo", targets: ["apus-udp-echo"]),
        .executable(name: "nio-http", targets: ["nio-http"]),
        .executable(name: "hummingbird-http", targets: ["hummingbird-http"]),
    ],
    dependencies: [
        .package(name: "apus", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", .upToNextMinor(from: "2.28.1")),
    ],
    targets: [
        // The tests of the root package run it, too.
        .target(name: "PowerSeries", dependencies: [.product(name: "Apus", package: "apus")]),
        .executableTarget(
            name: "apus-bench",
            dependencies: [
                .product(name: "Apus", package: "apus"),
                "PowerSeries",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .target(name: "CAllocationCount"),
        .executableTarget(
            name: "apus-allocations",
            dependencies: [
                .product(name: "Apus", package: "apus"), .product(name: "ApusHTTP", package: "apus"),
                "CAllocationCount",
            ]
        ),
        .executableTarget(
            name: "apus-echo",
            dependencies: [
                .product(name: "Apus", package: "apus"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(name: "apus-lateness", dependencies: [.product(name: "Apus", package: "apus")]),
        .executableTarget(
            name: "nio-echo",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "apus-http",
            dependencies: [
                .product(name: "Apus", package: "apus"),
                .product(name: "ApusHTTP", package: "apus"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "apus-udp-echo",
            dependencies: [
                .product(name: "Apus", package: "apus"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "nio-http",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "hummingbird-http",
            dependencies: [
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
    ]
)
