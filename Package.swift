// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Every target: Swift 6 mode, each import says whether it is part of the surface, warnings stop the build.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
    // Coverage marks and whims (`LogModel.Mark`); a release build of tests is given the same by scripts/shell.sh.
    .define("MARKS", .when(configuration: .debug)),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

func target(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "godwit",
    products: [
        .executable(name: "godwit", targets: ["godwit"]),
        .library(name: "GodwitClient", targets: ["GodwitClient"]),
        .library(name: "GodwitNode", targets: ["GodwitNode"]),
        // For the microbenchmarks, which are a package of their own.
        .library(
            name: "GodwitCore", targets: ["LogModel", "RecordBatches", "KafkaWire", "RaftCore", "Disk", "LogStorage"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Pure: no files, sockets, clocks, tasks or randomness of their own.
        target("LogModel"),
        target("Settings", ["LogModel"]),
        .target(name: "CCRC32C"),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        target("RecordBatches", ["LogModel", "CCRC32C", "CLZ4", "CZstd", "CSnappy", "CZlib", nioCore]),
        target("KafkaWire", ["LogModel", nioCore]),
        target("RaftCore", ["LogModel"]),
        target("PeerWire", ["LogModel", "RaftCore", nioCore]),
        target("MetadataCore", ["LogModel", "Settings"]),
        target("RegularExpressions"),
        target("GroupCore", ["LogModel", "Settings", "KafkaWire", "RegularExpressions", nioCore]),
        target("Histories"),
        // Effects: one resource each.
        target("Disk", ["LogModel"]),
        target("LogStorage", ["LogModel", "RecordBatches", "Disk", nioCore]),
        target("Transport", ["LogModel", "RaftCore", "PeerWire", nioCore, nioPosix, logging]),
        target("Configuration", ["LogModel", "Settings", yams]),
        // Assembly.
        target("Replication", ["LogModel", "RecordBatches", "RaftCore", "Disk", "LogStorage", nioCore]),
        target(
            "Broker",
            [
                "LogModel", "Settings", "RecordBatches", "KafkaWire", "RaftCore", "MetadataCore", "GroupCore", "Disk",
                "LogStorage", "Replication", nioCore,
            ]),
        target("GodwitClient", ["LogModel", "KafkaWire", "RecordBatches", nioCore, nioPosix]),
        target(
            "GodwitNode",
            [
                "LogModel", "Settings", "RaftCore", "PeerWire", "MetadataCore", "Disk", "LogStorage", "Transport",
                "Replication", "Broker", "RecordBatches", nioCore, nioPosix, logging,
            ]),
        target(
            "Simulation",
            [
                "LogModel", "Settings", "KafkaWire", "RecordBatches", "RaftCore", "PeerWire", "MetadataCore",
                "GroupCore", "Histories", "Disk", "LogStorage", "Transport", "Replication", "Broker", "GodwitNode",
                nioCore, logging,
            ]),
        // The program.
        .executableTarget(
            name: "godwit",
            dependencies: [
                "LogModel", "Settings", "Configuration", "KafkaWire", "RecordBatches", "Disk", "LogStorage",
                "Broker", "GodwitClient", "GodwitNode", argumentParser, histogram, logging, nioCore, nioPosix,
            ],
            swiftSettings: strict),
        // Runs seeds of the simulation for as long as one likes; for developers.
        .executableTarget(
            name: "simulate", dependencies: ["LogModel", "Simulation", argumentParser], swiftSettings: strict),
        // Judges histories of chaos runs; not shipped.
        .executableTarget(
            name: "history-check", dependencies: ["Histories"], path: "Tests/Chaos/HistoryCheck",
            swiftSettings: strict),
        .executableTarget(
            name: "history-load", dependencies: ["LogModel", "RecordBatches", "GodwitClient", nioCore],
            path: "Tests/Chaos/NativeLoad",
            swiftSettings: strict),
        // Tests.
        tests("LogModelTests", ["LogModel"]),
        tests("SettingsTests", ["LogModel", "Settings"]),
        tests("RecordBatchesTests", ["LogModel", "RecordBatches", "CCRC32C", nioCore]),
        tests("KafkaWireTests", ["LogModel", "KafkaWire", nioCore], resources: [.copy("Golden")]),
        tests("RaftCoreTests", ["LogModel", "RaftCore"]),
        tests("PeerWireTests", ["LogModel", "RaftCore", "PeerWire", nioCore]),
        tests("MetadataCoreTests", ["LogModel", "Settings", "MetadataCore"]),
        tests("RegularExpressionsTests", ["RegularExpressions"]),
        tests("GroupCoreTests", ["LogModel", "Settings", "KafkaWire", "RegularExpressions", "GroupCore", nioCore]),
        tests("HistoriesTests", ["Histories"]),
        tests("ConfigurationTests", ["LogModel", "Settings", "Configuration"]),
        tests("DiskTests", ["LogModel", "Disk", "Simulation"]),
        tests("LogStorageTests", ["LogModel", "RecordBatches", "Disk", "LogStorage", "Simulation", nioCore]),
        tests("TransportTests", ["LogModel", "RaftCore", "PeerWire", "Transport", nioCore, nioPosix, logging]),
        tests(
            "ReplicationTests",
            ["LogModel", "RecordBatches", "RaftCore", "Disk", "LogStorage", "Replication", "Simulation", nioCore]),
        tests(
            "BrokerTests",
            [
                "LogModel", "Settings", "RecordBatches", "KafkaWire", "RaftCore", "MetadataCore", "GroupCore", "Disk",
                "LogStorage", "Replication", "Broker", nioCore, nioEmbedded,
            ]),
        tests(
            "GodwitNodeTests",
            [
                "LogModel", "Settings", "RaftCore", "MetadataCore", "Disk", "LogStorage", "Replication", "Broker",
                "GodwitNode", "RecordBatches", nioCore, logging,
            ]),
        tests("GodwitClientTests", ["LogModel", "KafkaWire", "RecordBatches", "GodwitClient", nioCore, nioPosix]),
        tests(
            "GodwitCommandTests",
            [
                "LogModel", "Settings", "Configuration", "RecordBatches", "MetadataCore", "Disk", "Broker",
                "GodwitClient", "godwit", nioCore, argumentParser,
            ]),
        tests("SimulationTests", ["LogModel", "RaftCore", "Replication", "Disk", "Simulation"]),
        tests("TidyTests"),
        tests("SystemTests", resources: [.copy("Clients")]),
    ]
)
