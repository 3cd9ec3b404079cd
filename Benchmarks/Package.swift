// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A package of its own, so that nobody who depends on Apus gets SwiftNIO along with it.
let package = Package(
    name: "apus-benchmarks",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "apus-bench", targets: ["apus-bench"]),
        .executable(name: "apus-allocations", targets: ["apus-allocations"]),
        .executable(name: "apus-echo", targets: ["apus-echo"]),
        .executable(name: "nio-echo", targets: ["nio-echo"]),
    ],
    dependencies: [
        .package(name: "apus", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
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
            dependencies: [.product(name: "Apus", package: "apus"), "CAllocationCount"]
        ),
        .executableTarget(
            name: "apus-echo",
            dependencies: [
                .product(name: "Apus", package: "apus"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "nio-echo",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
    ]
)
