// SPDX-License-Identifier: Apache-2.0

/// What a client may do, as bits by the codes of Kafka's `AclOperation` (KIP-430): everything, as there is no
/// authorisation.
enum Operations {
    private enum Code: Int32 {
        case read = 3
        case write = 4
        case create = 5
        case delete = 6
        case alter = 7
        case describe = 8
        case clusterAction = 9
        case describeConfigs = 10
        case alterConfigs = 11
        case idempotentWrite = 12
    }

    /// What can be done with a topic.
    static let topic = bits([.read, .write, .create, .delete, .alter, .describe, .describeConfigs, .alterConfigs])

    /// What can be done with the cluster.
    static let cluster = bits([
        .create, .alter, .describe, .clusterAction, .describeConfigs, .alterConfigs, .idempotentWrite,
    ])

    /// What can be done with a consumer group.
    static let group = bits([.read, .delete, .describe, .describeConfigs, .alterConfigs])

    private static func bits(_ codes: [Code]) -> Int32 { codes.reduce(0) { $0 | 1 << $1.rawValue } }
}
