// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore

/// What a connection is for. A long poll must not hold up a produce, since a broker answers each connection in order.
enum Lane: Hashable { case control, produce, fetch, group }

/// The heart of a client: connections, metadata and the way to a partition's leader, all on one event loop.
// SAFETY: every stored property is touched on `loop` alone; entry points check it.
final class ClientCore: @unchecked Sendable {
    typealias Done<Value> = (Result<Value, ClientError>) -> Void

    private struct Line: Hashable {
        let address: BrokerAddress
        let lane: Lane
    }

    let loop: any EventLoop
    let configuration: ClientConfiguration
    private(set) var map = ClusterMap()
    private(set) var isClosed = false
    private var connections: [Line: BrokerConnection] = [:]
    /// The topics that refreshes ask for.
    private var topics: Set<String> = []
    private var isRefreshing = false
    private var refreshAgain = false
    private var refreshWaiters: [Done<Void>] = []
    private var aging: Scheduled<Void>?
    /// Told after every change of the map.
    private var listeners: [ObjectIdentifier: () -> Void] = [:]
    /// Who coordinates a group, as it was last heard.
    var coordinators: [String: ClusterMap.Node] = [:]
    /// The broker that answered last, asked first next time.
    private var lastAnswered: BrokerAddress?

    init(_ configuration: ClientConfiguration, loop: any EventLoop) {
        self.configuration = configuration
        self.loop = loop
    }

    // MARK: Connections

    func connection(to address: BrokerAddress, _ lane: Lane) -> BrokerConnection {
        loop.preconditionInEventLoop()
        let line = Line(address: address, lane: lane)
        if let known = connections[line], known.isUsable { return known }
        let fresh = BrokerConnection(to: address, on: loop, configuration: configuration) { [weak self] closed in
            self?.closed(closed, line)
        }
        connections[line] = fresh
        fresh.connect()
        return fresh
    }

    private func closed(_ connection: BrokerConnection, _ line: Line) {
        if connections[line] === connection { connections[line] = nil }
        if lastAnswered == line.address { lastAnswered = nil }
        // A broker that is gone takes its leaderships with it: who has them now is asked at once.
        if !isClosed, !topics.isEmpty, line.lane != .control { refresh() }
    }

    /// Drops the connections to a leader that keeps silent although another one leads now.
    func abandon(_ address: BrokerAddress, _ lane: Lane) {
        connections[Line(address: address, lane: lane)]?.close(.timedOut("a request to \(address)"))
    }

    func close() {
        loop.preconditionInEventLoop()
        guard !isClosed else { return }
        isClosed = true
        aging?.cancel()
        aging = nil
        for connection in Array(connections.values) { connection.close(.closed) }
        connections.removeAll()
        for listener in Array(listeners.values) { listener() }
        listeners.removeAll()
    }

    func listen(_ owner: AnyObject, _ listener: @escaping () -> Void) { listeners[ObjectIdentifier(owner)] = listener }
    func unlisten(_ owner: AnyObject) { listeners[ObjectIdentifier(owner)] = nil }

    // MARK: Asking any broker

    /// Whom to ask, best first: who answered last, open connections, known nodes, the bootstrap list.
    private func candidates() -> [BrokerAddress] {
        var seen: Set<BrokerAddress> = []
        let nodes = map.nodes.values.sorted { $0.id < $1.id }.map(\.address)
        let open = nodes.filter { connections[Line(address: $0, lane: .control)]?.isReady == true }
        let all = [lastAnswered].compactMap { $0 } + open + nodes + configuration.bootstrap
        return all.filter { seen.insert($0).inserted }
    }

    /// Asks one broker after the other until one answers.
    func askAny<Request: WireRequest>(
        _ request: Request, timeout: TimeAmount, then: @escaping Done<Request.Response>
    ) {
        loop.preconditionInEventLoop()
        guard !isClosed else { return then(.failure(.closed)) }
        ask(candidates()[...], request, timeout, tried: [], then: then)
    }

    private func ask<Request: WireRequest>(
        _ rest: ArraySlice<BrokerAddress>, _ request: Request, _ timeout: TimeAmount, tried: [String],
        then: @escaping Done<Request.Response>
    ) {
        guard let address = rest.first else { return then(.failure(.noBroker(tried: tried))) }
        connection(to: address, .control).send(request, timeout: timeout) { [weak self] result in
            guard let self, !self.isClosed else { return then(.failure(.closed)) }
            switch result {
            case .success:
                self.lastAnswered = address
                then(result)
            case .failure(let error) where error.isRetriable:
                let why = if case .noBroker(let reasons) = error { reasons } else { ["\(error)"] }
                self.ask(rest.dropFirst(), request, timeout, tried: tried + why, then: then)
            case .failure: then(result)
            }
        }
    }

    // MARK: Metadata

    /// Has the map know `topic` from now on.
    func follow(_ topic: String) {
        if topics.insert(topic).inserted { refresh() }
    }

    func follows(_ topic: String) -> Bool { topics.contains(topic) }

    /// Asks for fresh metadata of all followed topics. Several calls at a time cost one request.
    func refresh(then: Done<Void>? = nil) {
        loop.preconditionInEventLoop()
        if let then { refreshWaiters.append(then) }
        guard !isRefreshing else {
            refreshAgain = true
            return
        }
        isRefreshing = true
        refreshAgain = false
        let waiters = refreshWaiters
        refreshWaiters = []
        var request = MetadataRequest()
        request.topics = topics.sorted().map { name in
            var topic = MetadataRequest.Topic()
            topic.name = name
            return topic
        }
        askAny(request, timeout: configuration.metadataTimeout) { result in
            self.isRefreshing = false
            if case .success(let answer) = result { self.map.apply(answer, maxNodes: self.configuration.maxNodes) }
            for waiter in waiters { waiter(result.map { _ in () }) }
            guard !self.isClosed else { return }
            if case .success = result {
                self.armAging()
                self.announce()
            }
            if self.refreshAgain { self.refreshSoon() }
        }
    }

    /// A refresh asked for during a refresh comes a moment later, so that a flood of errors is not a flood of requests.
    private func refreshSoon() {
        refreshAgain = false
        loop.scheduleTask(in: .milliseconds(2)) {
            if !self.isClosed { self.refresh() }
        }
    }

    private func armAging() {
        guard aging == nil else { return }
        aging = loop.scheduleTask(in: configuration.metadataMaxAge) {
            self.aging = nil
            if !self.isClosed, !self.topics.isEmpty { self.refresh() }
        }
    }

    /// Takes a broker's hint of a new leader; `true` when it told something new.
    func takeHint(_ hint: LeaderIDAndEpoch?, _ endpoints: [NodeEndpoint], topic: String, partition: Int32) -> Bool {
        guard let hint else { return false }
        return map.apply(hint: hint, endpoints: endpoints, topic: topic, partition: partition)
    }

    /// Stops following a topic that is no more.
    func forget(_ topic: String) {
        topics.remove(topic)
        map.forget(topic)
    }

    private func announce() {
        for listener in Array(listeners.values) { listener() }
    }

    /// Metadata of some topics, or of all (`nil`), asked for now. `allowsCreation` lets a broker make a missing topic.
    func describe(_ names: [String]?, then: @escaping Done<MetadataResponse>) {
        var request = MetadataRequest()
        request.topics = names?.map { name in
            var topic = MetadataRequest.Topic()
            topic.name = name
            return topic
        }
        request.allowsTopicCreation = false
        askAny(request, timeout: configuration.requestTimeout) { result in
            if case .success(let answer) = result { self.map.apply(answer, maxNodes: self.configuration.maxNodes) }
            then(result)
        }
    }

    // MARK: Retrying

    /// The pause before the next attempt of something that has failed since `since`: the configured one at first, a
    /// twentieth of the time it has been failing later.
    func backoff(since: NIODeadline) -> TimeAmount {
        let failing = NIODeadline.now() - since
        let grown = TimeAmount.nanoseconds(failing.nanoseconds / 20)
        return max(configuration.retryBackoff, min(grown, configuration.retryBackoffLimit))
    }

    /// Does `attempt` until it succeeds, fails for good, or the delivery timeout is over.
    func retrying<Value>(
        since: NIODeadline = .now(), _ attempt: @escaping (@escaping Done<Value>) -> Void, then: @escaping Done<Value>
    ) {
        attempt { result in
            let deadline = since + self.configuration.deliveryTimeout
            guard case .failure(let error) = result, error.isRetriable, !self.isClosed,
                NIODeadline.now() + self.backoff(since: since) < deadline
            else { return then(result) }
            // Nobody to talk to is said at once: waiting for a cluster to appear is the caller's business.
            if case .noBroker = error { return then(result) }
            let again = OnLoop((attempt, then), self.loop)
            self.loop.scheduleTask(in: self.backoff(since: since)) {
                let (attempt, then) = again.value
                self.retrying(since: since, attempt, then: then)
            }
        }
    }
}
