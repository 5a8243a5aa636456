// SPDX-License-Identifier: Apache-2.0

import KafkaWire
import LogModel
import NIOCore

/// A client program: it speaks Kafka's protocol in bytes, keeps a connection to each node it needs, and asks for
/// metadata when it is sent elsewhere. What it wants, its subclasses say.
class WireClient {
    unowned let world: World
    let name: String
    private var lines: [Int: ClientLine] = [:]
    /// What it has been told to speak, by ApiVersions.
    private var served: [ApiKey: ClosedRange<Int16>] = [:]
    /// What it has chosen of that.
    private var chosen: [ApiKey: Int16] = [:]
    private var topics: [String: KnownTopic] = [:]
    private(set) var topicNames: [TopicID: String] = [:]
    private var isRefreshing = false

    struct KnownTopic {
        var id: TopicID
        /// By partition, where one is known.
        var leaders: [Int32: Int]
        var partitions: Int
    }

    /// Which node has left the last request for metadata unanswered.
    private var silent: Int?

    init(world: World, name: String) {
        self.world = world
        self.name = name
    }

    var climate: WorldClimate { world.climate }
    var backoff: UInt64 { 5_000_000 + world.random.span(mean: 20_000_000) }
    var somebody: Int { world.random.below(world.machines.count) }

    func topic(_ name: String) -> KnownTopic? { topics[name] }

    /// Where to send what concerns a partition: its leader, as far as this client knows, else anybody.
    func place(of partition: Int32, _ topic: String) -> Int? { topics[topic]?.leaders[partition] }

    // MARK: - Asking

    /// Asks a node something.
    ///
    /// - Parameters:
    ///   - patience: how long the client waits for the answer before it hangs up.
    ///   - then: told the answer; `nil` when there was none, and whether the request was carried out is not known.
    func ask<Request: WireRequest>(
        _ request: Request, at place: Int, patience: UInt64? = nil, expectsAnswer: Bool = true,
        then: @escaping (Request.Response?) -> Void
    ) {
        guard let version = version(of: Request.self) else {
            return introduce(at: place) {
                guard self.served[Request.apiKey] != nil else { return then(nil) }
                self.ask(request, at: place, patience: patience, expectsAnswer: expectsAnswer, then: then)
            }
        }
        exchange(request, version, at: place, patience ?? climate.requestTimeout, expectsAnswer, then)
    }

    /// The version this client speaks of an API; chosen once.
    private func version<Request: WireRequest>(of type: Request.Type) -> Int16? {
        if let known = chosen[Request.apiKey] { return known }
        guard let served = served[Request.apiKey] else { return nil }
        var range = served.clamped(to: Request.versions)
        // Topics have ids since version 10, and some of the other APIs want them.
        if Request.apiKey == .metadata { range = range.clamped(to: 10...range.upperBound) }
        // The latest half of the time, as clients that are in use do.
        let version =
            world.random.coin()
            ? range.upperBound
            : Int16(world.random.within(Int(range.lowerBound)...Int(range.upperBound)))
        chosen[Request.apiKey] = version
        return version
    }

    func chosenVersion(_ key: ApiKey) -> Int16 { chosen[key] ?? 0 }

    private func introduce(at place: Int, then: @escaping () -> Void) {
        var request = ApiVersionsRequest()
        request.clientSoftwareName = "simulation"
        request.clientSoftwareVersion = "1"
        let version = Int16(world.random.within(0...4))
        exchange(request, version, at: place, climate.requestTimeout, true) { response in
            guard let response, response.error == .none else { return then() }
            for api in response.apis { self.served[api.key] = api.minVersion...api.maxVersion }
            then()
        }
    }

    private func exchange<Request: WireRequest>(
        _ request: Request, _ version: Int16, at place: Int, _ patience: UInt64, _ expectsAnswer: Bool,
        _ then: @escaping (Request.Response?) -> Void
    ) {
        let line = line(to: place)
        let correlation = line.nextCorrelation()
        let frame: ByteBuffer
        do throws(WireError) {
            frame = try request.encodeFrame(correlationID: correlation, clientID: name, version: version).bytes
        } catch {
            preconditionFailure("\(name) cannot say \(Request.apiKey) v\(version): \(error)")
        }
        world.say("\(name)→n\(place) \(Request.apiKey) v\(version) #\(correlation)")
        line.send(frame, correlation: correlation, expectsAnswer: expectsAnswer, timeout: patience) { answer in
            guard var answer else { return then(nil) }
            do throws(WireError) {
                let id = try ResponseHeader.decode(from: &answer, apiKey: Request.apiKey, version: version)
                guard id == correlation else {
                    return self.world.broke(Violation(.requestsEnd, "\(self.name) asked \(correlation), got \(id)"))
                }
                let response = try Request.Response.decode(answer, version: version)
                self.world.say("n\(place)→\(self.name) \(Request.apiKey) #\(correlation)")
                then(response)
            } catch {
                self.world.broke(
                    Violation(.requestsEnd, "an unreadable answer to \(Request.apiKey) v\(version): \(error)"))
            }
        }
    }

    func line(to place: Int) -> ClientLine {
        if let line = lines[place], line.isOpen { return line }
        let line = ClientLine(world: world, client: name, place: place)
        lines[place] = line
        return line
    }

    func hangUp(on place: Int) {
        lines[place]?.close(reason: "hung up")
        lines[place] = nil
    }

    // MARK: - Metadata

    /// Asks anybody who leads what. `then` is called in any case, and not before a while.
    func refresh(_ names: [String], then: @escaping () -> Void = {}) {
        var request = MetadataRequest()
        request.topics = names.map { name in
            var topic = MetadataRequest.Topic()
            topic.name = name
            return topic
        }
        request.allowsTopicCreation = false
        // Who has just not answered is not asked again at once, as clients do it.
        let drawn = somebody
        let place = drawn == silent ? (drawn + 1) % world.machines.count : drawn
        ask(request, at: place) { response in
            self.silent = response == nil ? place : nil
            if let response { self.take(response) }
            self.world.schedule(after: self.backoff, then)
        }
    }

    private func take(_ response: MetadataResponse) {
        for topic in response.topics {
            guard topic.error == .none, let name = topic.name else { continue }
            var known = topics[name] ?? KnownTopic(id: topic.id, leaders: [:], partitions: 0)
            if topic.id != .zero {
                known.id = topic.id
                topicNames[topic.id] = name
            }
            known.partitions = max(known.partitions, topic.partitions.count)
            for partition in topic.partitions {
                known.leaders[partition.index] = partition.leaderID >= 0 ? Int(partition.leaderID) : nil
            }
            topics[name] = known
        }
    }
}
