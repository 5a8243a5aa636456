// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import NIOCore
import Replication

extension Broker {
    /// ListGroups (API key 16): the groups of all of this node's coordinators.
    func listGroups(_ call: Call<Files>) throws(WireError) {
        let request = try ListGroupsRequest.decode(call.body, version: call.version)
        let listing = GroupListing<Environment>(call, request: request, shards: shardCount)
        guard !ports.isEmpty else { return groups.confirmedList { listing.landed(($0, $1)) } }
        let home = ports[index].loop
        let bound = NIOLoopBound(listing, eventLoop: home)
        for port in ports {
            port.loop.execute {
                port.broker.value.groups.confirmedList { groups, isLoading in
                    home.execute { bound.value.landed((groups, isLoading)) }
                }
            }
        }
    }
}

/// Gathers the groups of each of a node's loops.
private final class GroupListing<Environment: ShardEnvironment> {
    private let call: Call<Environment.Files>
    private let states: Set<String>
    private let types: Set<String>
    private var outstanding: Int
    private var response = ListGroupsResponse()

    init(_ call: Call<Environment.Files>, request: ListGroupsRequest, shards: Int) {
        self.call = call
        states = Set(request.statesFilter.map { $0.lowercased() })
        types = Set(request.typesFilter.map { $0.lowercased() })
        outstanding = shards
    }

    func landed(_ found: (groups: [ListGroupsResponse.Group], isLoading: Bool)) {
        response.groups += found.groups.filter { group in
            (states.isEmpty || states.contains(group.groupState.lowercased()))
                && (types.isEmpty || types.contains(group.groupType.lowercased()))
        }
        // As Kafka: what is known is listed, and the error says that it is not all.
        if found.isLoading { response.error = .coordinatorLoadInProgress }
        outstanding -= 1
        guard outstanding == 0 else { return }
        response.groups.sort { $0.groupID < $1.groupID }
        call.reply(response)
    }
}
