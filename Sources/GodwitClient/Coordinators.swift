// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import NIOCore

extension ErrorCode {
    /// Whether the asked broker does not coordinate the group, or not yet: ask again, perhaps somebody else.
    var meansCoordinatorMoved: Bool {
        switch self {
        case .notCoordinator, .coordinatorNotAvailable, .coordinatorLoadInProgress: true
        default: false
        }
    }
}

extension ClientCore {
    /// Finds who coordinates a group. What is known is believed until a request to it fails.
    func coordinator(of group: String, then: @escaping Done<ClusterMap.Node>) {
        if let known = coordinators[group] { return then(.success(known)) }
        var request = FindCoordinatorRequest()
        request.key = group
        request.coordinatorKeys = [group]
        askAny(request, timeout: configuration.requestTimeout) { result in
            let found = result.flatMap { Self.coordinator(in: $0, of: group) }
            if case .success(let node) = found { self.coordinators[group] = node }
            then(found)
        }
    }

    private static func coordinator(
        in answer: FindCoordinatorResponse, of group: String
    ) -> Result<ClusterMap.Node, ClientError> {
        var found = FindCoordinatorResponse.Coordinator()
        if let listed = answer.coordinators.first {
            found = listed
        } else {
            // Up to version 3 there is one, beside the list.
            (found.nodeID, found.host, found.port) = (answer.nodeID, answer.host, answer.port)
            (found.error, found.errorMessage) = (answer.error, answer.errorMessage)
        }
        guard found.error == .none else {
            return .failure(.refused(found.error, subject: "group '\(group)'", message: found.errorMessage))
        }
        guard (1...65_535).contains(found.port), !found.host.isEmpty else {
            return .failure(.badAnswer("a coordinator of group '\(group)' without an address"))
        }
        let address = BrokerAddress(host: found.host, port: Int(found.port))
        return .success(ClusterMap.Node(id: found.nodeID, address: address, rack: nil))
    }

    /// Asks a group's coordinator once. Errors that say that it moved are failures, so that they are tried again; what
    /// other errors mean is for the caller to see in the answer.
    ///
    /// - Parameter verdict: the group's error in the answer.
    func tryCoordinator<Request: WireRequest>(
        of group: String, _ request: Request, limit: Int16 = .max,
        verdict: @escaping (Request.Response) -> (ErrorCode, String?), then: @escaping Done<Request.Response>
    ) {
        coordinator(of: group) { found in
            guard case .success(let node) = found else {
                return then(found.flatMap { _ in .failure(.closed) })
            }
            let timeout = self.configuration.requestTimeout
            self.connection(to: node.address, .group).send(request, limit: limit, timeout: timeout) { result in
                switch result {
                case .failure(let error):
                    if error.isRetriable { self.coordinators[group] = nil }
                    // Somebody else may coordinate the group soon: no reason to give up at once.
                    if case .noBroker(let tried) = error {
                        let why = tried.joined(separator: "; ")
                        return then(
                            .failure(.refused(.coordinatorNotAvailable, subject: "group '\(group)'", message: why)))
                    }
                    then(result)
                case .success(let answer):
                    let (code, message) = verdict(answer)
                    guard code.meansCoordinatorMoved else { return then(result) }
                    if code != .coordinatorLoadInProgress { self.coordinators[group] = nil }
                    then(.failure(.refused(code, subject: "group '\(group)'", message: message)))
                }
            }
        }
    }

    /// Asks a group's coordinator, and again whoever it is by then, until the delivery timeout.
    func askCoordinator<Request: WireRequest>(
        of group: String, _ request: Request, limit: Int16 = .max,
        verdict: @escaping (Request.Response) -> (ErrorCode, String?), then: @escaping Done<Request.Response>
    ) {
        retrying(
            { self.tryCoordinator(of: group, request, limit: limit, verdict: verdict, then: $0) }, then: then)
    }
}
