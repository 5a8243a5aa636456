// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import MetadataCore
import NIOCore
import Replication

/// A resource as both ways of altering configs name it.
private struct AlteredResource: Hashable {
    let type: ConfigResourceType
    let name: String
}

extension Controller {
    /// IncrementalAlterConfigs (API key 44).
    func alterConfigs(
        _ request: IncrementalAlterConfigsRequest, in context: PlanningContext,
        done: @escaping (IncrementalAlterConfigsResponse) -> Void
    ) {
        let round = ProposalRound(response: IncrementalAlterConfigsResponse(), done: done)
        let resources = request.resources.map { AlteredResource(type: $0.type, name: $0.name) }
        let repeated = Self.repeated(resources)
        for (asked, resource) in zip(request.resources, resources) {
            var answer = IncrementalAlterConfigsResponse.Result()
            var proposal: MetadataCommand?
            answer.type = asked.type
            answer.name = asked.name
            let plan = owner(of: resource, repeated, names: asked.configs.map(\.name)).flatMap { owner in
                Self.edits(asked.configs).flatMap { state.planEdits($0, of: owner, defaults: context.defaults) }
            }
            switch plan {
            case .failure(let refusal):
                answer.error = ErrorCode(refusal.kind)
                answer.errorMessage = refusal.message
            case .success(let command):
                if !request.validateOnly { proposal = command }
            }
            add(answer, to: \.results, of: round, proposing: proposal)
        }
        round.settle { _ in }
    }

    /// AlterConfigs (API key 33).
    func alterConfigs(
        _ request: AlterConfigsRequest, in context: PlanningContext, done: @escaping (AlterConfigsResponse) -> Void
    ) {
        let round = ProposalRound(response: AlterConfigsResponse(), done: done)
        let resources = request.resources.map { AlteredResource(type: $0.type, name: $0.name) }
        let repeated = Self.repeated(resources)
        for (asked, resource) in zip(request.resources, resources) {
            var answer = AlterConfigsResponse.Result()
            var proposal: MetadataCommand?
            answer.type = asked.type
            answer.name = asked.name
            let plan = owner(of: resource, repeated, names: asked.configs.map(\.name)).flatMap { owner in
                state.planReplacement(
                    asked.configs.map { ($0.name, $0.value) }, of: owner, defaults: context.defaults)
            }
            switch plan {
            case .failure(let refusal):
                answer.error = ErrorCode(refusal.kind)
                answer.errorMessage = refusal.message
            case .success(let command):
                if !request.validateOnly { proposal = command }
            }
            add(answer, to: \.results, of: round, proposing: proposal)
        }
        round.settle { _ in }
    }

    private static func repeated(_ resources: [AlteredResource]) -> Set<AlteredResource> {
        var seen: Set<AlteredResource> = []
        return Set(resources.filter { !seen.insert($0).inserted })
    }

    /// Whose configs these are, if they can be altered at all.
    private func owner(
        of resource: AlteredResource, _ repeated: Set<AlteredResource>, names: [String]
    ) -> Result<ConfigOwner, TopicRefusal> {
        func refuse(_ reason: String) -> Result<ConfigOwner, TopicRefusal> {
            .failure(TopicRefusal(.invalidRequest, reason))
        }
        guard !repeated.contains(resource) else { return refuse("Each resource must appear at most once.") }
        switch resource.type {
        case .topic: return .success(.topic(resource.name))
        case .group: return .success(.group(resource.name))
        case .broker:
            let shown = names.sorted().prefix(8).map { String($0.prefix(64)) }.joined(separator: ", ")
            return refuse(
                "Cannot update these configs dynamically: \(shown); set them in the node's configuration and restart it"
            )
        case .brokerLogger:
            return refuse("the levels of loggers cannot be altered; set log.level in the node's configuration")
        case .clientMetrics: return refuse("clients' metrics are not collected")
        default: return refuse("resources of type \(resource.type.rawValue) have no configs here")
        }
    }

    private static func edits(
        _ configs: [IncrementalAlterConfigsRequest.Config]
    ) -> Result<[ConfigEdit], TopicRefusal> {
        var edits: [ConfigEdit] = []
        for config in configs {
            let operation: ConfigEdit.Operation
            switch config.operation {
            case .set: operation = .set
            case .delete: operation = .delete
            case .append: operation = .append
            case .subtract: operation = .subtract
            default:
                return .failure(
                    TopicRefusal(.invalidRequest, "there is no operation \(config.operation.rawValue) on configs"))
            }
            edits.append(ConfigEdit(name: config.name, operation: operation, value: config.value))
        }
        return .success(edits)
    }
}

extension IncrementalAlterConfigsResponse.Result: ProposalAnswer {}
extension AlterConfigsResponse.Result: ProposalAnswer {}
