// swift-tools-version: 6.1
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

// A package of its own, so that building Godwit needs none of its dependencies.
let package = Package(
    name: "godwit-microbenchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "godwit", path: "../.."),
        // Without traits: the allocation counters need an interposer that not every machine can load.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .executableTarget(
            name: "GodwitCoreBenchmarks",
            dependencies: [
                .product(name: "GodwitCore", package: "godwit"),
                .product(name: "Benchmark", package: "benchmark"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Benchmarks/GodwitCoreBenchmarks",
            swiftSettings: [.swiftLanguageMode(.v6)],
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
    ]
)
