// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import LogModel
import NIOCore
import NIOPosix
import RecordBatches
import Synchronization

@testable import GodwitClient

/// Brokers on loopback that answer as a test tells them to. They store batches, lead what the test says, no more.
final class ScriptedCluster: Sendable {
    /// What a broker does with one partition of a produce request.
    enum ProduceVerdict {
        case store
        case refuse(ErrorCode)
        /// Refuse, and say who leads now (KIP-951).
        case redirect(to: Int32, epoch: Int32)
        /// Close the connection: nothing is stored.
        case hangUp
        /// Store, and close the connection without an answer.
        case storeAndHangUp
    }

    struct Stored: Equatable {
        let broker: Int32
        let partition: Int32
        let values: [String]
    }

    struct State {
        var ports: [Int32: Int] = [:]
        var leaders: [Int32: (node: Int32, epoch: Int32)] = [:]
        var topicID = TopicID(high: 1, low: 1)
        var metadataRequests = 0
        var produce: @Sendable (_ broker: Int32, _ partition: Int32, _ attempt: Int) -> ProduceVerdict = { _, _, _ in
            .store
        }
        var attempts = 0
        var stored: [Stored] = []
        var logs: [Int32: ByteBuffer] = [:]
        var ends: [Int32: Int64] = [:]
        var logStart: Int64 = 0
        /// Versions that are advertised beside ApiVersions.
        var apis: [ApiVersionsResponse.Api] = [
            .init(key: .apiVersions, versions: 0...4), .init(key: .metadata, versions: 0...13),
            .init(key: .produce, versions: 3...13), .init(key: .fetch, versions: 4...17),
            .init(key: .listOffsets, versions: 1...10),
        ]
        var apiVersionsLimit: Int16 = 4
        var versionsSeen: [ApiKey: Int16] = [:]
        /// Bytes of an incomplete batch behind the records of each fetch.
        var fetchTail = ByteBuffer()
        var listOffsets: (_ attempt: Int, _ timestamp: Int64) -> (ErrorCode, Int64)? = { _, _ in nil }
        var listAttempts = 0
        var fetchOffsets: [Int64] = []
        /// What each partition remembers of its producers, when they are to be remembered.
        var remembersProducers = false
        var producers: [Int32: [Int64: Remembered]] = [:]
        var stamps: [ProducerStamp] = []
        /// What `answer` was told to do with other requests. `nil`: hang up.
        var handlers: [ApiKey: @Sendable (_ broker: Int32, _ call: Call) throws -> ByteBuffer?] = [:]
    }

    /// A producer as a partition knows it.
    struct Remembered {
        var epoch: Int16
        var next: Int32
        /// The first sequence and offset of the last batches.
        var batches: [(sequence: Int32, offset: Int64)]
    }

    /// A request as it came.
    struct Call {
        let body: ByteBuffer
        let version: Int16
        let correlationID: Int32
    }

    static let topic = "events"

    let state: Mutex<State>
    private let group: MultiThreadedEventLoopGroup
    private let channels: Mutex<[any Channel]> = Mutex([])

    private init(partitions: Int32, _ group: MultiThreadedEventLoopGroup) {
        self.group = group
        var initial = State()
        for index in 0..<partitions { initial.leaders[index] = (1, 0) }
        state = Mutex(initial)
    }

    static func start(brokers: Int32 = 2, partitions: Int32 = 1) async throws -> ScriptedCluster {
        let cluster = ScriptedCluster(partitions: partitions, MultiThreadedEventLoopGroup.singleton)
        for id in 1...brokers {
            let channel = try await ServerBootstrap(group: cluster.group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ScriptedBroker(id: id, cluster))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            cluster.channels.withLock { $0.append(channel) }
            cluster.state.withLock { $0.ports[id] = channel.localAddress?.port ?? 0 }
        }
        return cluster
    }

    func client(_ change: (inout ClientConfiguration) -> Void = { _ in }) -> KafkaClient {
        let ports = state.withLock { $0.ports.sorted { $0.key < $1.key }.map(\.value) }
        var configuration = ClientConfiguration(bootstrap: ports.map { BrokerAddress(host: "127.0.0.1", port: $0) })
        configuration.retryBackoff = .milliseconds(1)
        configuration.deliveryTimeout = .seconds(20)
        change(&configuration)
        return KafkaClient(configuration)
    }

    /// Answers an API from now on, and advertises it. `nil` closes the connection.
    func answer<Request: WireRequest>(
        _ type: Request.Type, versions: ClosedRange<Int16>? = nil, isAdvertised: Bool = true,
        _ answer: @escaping @Sendable (_ broker: Int32, Request) -> Request.Response?
    ) {
        state.withLock { state in
            if isAdvertised {
                state.apis.append(.init(key: Request.apiKey, versions: versions ?? Request.versions))
            }
            state.handlers[Request.apiKey] = { broker, call in
                let request = try Request.decode(call.body, version: call.version)
                return try answer(broker, request)?.encodeFrame(
                    correlationID: call.correlationID, version: call.version
                ).bytes
            }
        }
    }

    func stop() async {
        for channel in channels.withLock({ $0 }) { try? await channel.close() }
    }

    // MARK: Answers

    func metadata() -> MetadataResponse {
        state.withLock { state in
            state.metadataRequests += 1
            var answer = MetadataResponse()
            answer.clusterID = "scripted"
            answer.controllerID = 1
            answer.brokers = state.ports.sorted { $0.key < $1.key }.map { id, port in
                var broker = MetadataResponse.Broker()
                broker.nodeID = id
                broker.host = "127.0.0.1"
                broker.port = Int32(port)
                return broker
            }
            var topic = MetadataResponse.Topic()
            topic.name = Self.topic
            topic.id = state.topicID
            topic.partitions = state.leaders.sorted { $0.key < $1.key }.map { index, leader in
                var partition = MetadataResponse.Partition()
                partition.index = index
                partition.leaderID = leader.node
                partition.leaderEpoch = leader.epoch
                partition.replicas = state.ports.keys.sorted()
                partition.inSyncReplicas = partition.replicas
                return partition
            }
            answer.topics = [topic]
            return answer
        }
    }

    /// `nil`: hang up.
    func produce(_ request: ProduceRequest, at broker: Int32) -> ProduceResponse? {
        state.withLock { state in
            var answer = ProduceResponse()
            var hangsUp = false
            for topic in request.topics {
                var told = ProduceResponse.Topic()
                told.name = topic.name
                told.id = topic.id
                for partition in topic.partitions {
                    state.attempts += 1
                    var result = ProduceResponse.Partition()
                    result.index = partition.index
                    switch state.produce(broker, partition.index, state.attempts) {
                    case .store: (result.error, result.baseOffset) = Self.append(partition, broker, &state)
                    case .refuse(let error): result.error = error
                    case .redirect(let node, let epoch):
                        result.error = .notLeaderOrFollower
                        result.currentLeader = LeaderIDAndEpoch(leaderID: node, leaderEpoch: epoch)
                        let port = Int32(state.ports[node] ?? 0)
                        answer.nodeEndpoints = [NodeEndpoint(nodeID: node, host: "127.0.0.1", port: port, rack: nil)]
                    case .hangUp: hangsUp = true
                    case .storeAndHangUp:
                        _ = Self.append(partition, broker, &state)
                        hangsUp = true
                    }
                    told.partitions.append(result)
                }
                answer.topics.append(told)
            }
            return hangsUp ? nil : answer
        }
    }

    /// Stores a batch, once if producers are remembered, as KIP-98 says.
    private static func append(
        _ partition: ProduceRequest.Partition, _ broker: Int32, _ state: inout State
    ) -> (ErrorCode, Int64) {
        guard state.remembersProducers, let bytes = partition.records, let head = try? EntryHead.parse(stored(bytes))
        else { return (.none, store(partition, broker, &state)) }
        guard (try? EntryHead.all(in: stored(bytes), verifyingChecksums: true)) != nil else {
            return (.corruptMessage, -1)
        }
        let stamp = ProducerStamp(id: head.producerID, epoch: head.producerEpoch, baseSequence: head.baseSequence)
        state.stamps.append(stamp)
        guard stamp.id >= 0 else { return (.invalidRecord, -1) }
        let records = Int(head.recordCount.rawValue)
        var known = state.producers[partition.index]?[stamp.id]
        if let known, stamp.epoch < known.epoch { return (.invalidProducerEpoch, -1) }
        if let known, known.epoch == stamp.epoch,
            let again = known.batches.first(where: { $0.sequence == stamp.baseSequence })
        {
            return (.none, again.offset)
        }
        let isNew = known.map { $0.epoch < stamp.epoch } ?? true
        guard stamp.baseSequence == (isNew ? 0 : known?.next ?? 0) else { return (.outOfOrderSequenceNumber, -1) }
        if isNew { known = nil }
        let offset = store(partition, broker, &state)
        let batches = (known?.batches ?? []).suffix(4) + [(stamp.baseSequence, offset)]
        let next = PartitionSequence.after(stamp.baseSequence, records)
        state.producers[partition.index, default: [:]][stamp.id] = Remembered(
            epoch: stamp.epoch, next: next, batches: Array(batches))
        return (.none, offset)
    }

    /// As a leader writes it: with a leader epoch, which lies outside the checksum.
    private static func stored(_ batch: ByteBuffer) -> ByteBuffer {
        var copy = batch
        copy.setInteger(Int32(0), at: copy.readerIndex + 12)
        return copy
    }

    /// Gives out ids from 1000 on, and has the brokers remember who uses them.
    func rememberProducers(epoch: Int16 = 0) {
        let next = Mutex<Int64>(1000)
        state.withLock { $0.remembersProducers = true }
        answer(InitProducerIDRequest.self) { _, _ in
            var answer = InitProducerIDResponse()
            answer.producerEpoch = epoch
            answer.producerID = next.withLock { id in
                defer { id += 1 }
                return id
            }
            return answer
        }
    }

    private static func store(_ partition: ProduceRequest.Partition, _ broker: Int32, _ state: inout State) -> Int64 {
        guard var bytes = partition.records, let count = try? values(in: bytes).count else { return -1 }
        let base = state.ends[partition.index] ?? 0
        state.stored.append(Stored(broker: broker, partition: partition.index, values: (try? values(in: bytes)) ?? []))
        bytes.setInteger(base, at: bytes.readerIndex)
        bytes.setInteger(Int32(0), at: bytes.readerIndex + 12)
        state.logs[partition.index, default: ByteBuffer()].writeBuffer(&bytes)
        state.ends[partition.index] = base + Int64(count)
        return base
    }

    private static func values(in batch: ByteBuffer) throws -> [String] {
        var copy = batch
        copy.setInteger(Int32(0), at: copy.readerIndex + 12)
        var records = try BatchRecords(of: copy, limit: 1 << 20, verifyingChecksum: true)
        var values: [String] = []
        while let record = try records.next() { values.append(String(buffer: record.value ?? ByteBuffer())) }
        return values
    }

    func fetch(_ request: FetchRequest) -> FetchResponse {
        state.withLock { state in
            var answer = FetchResponse()
            for topic in request.topics {
                var told = FetchResponse.Topic()
                told.name = topic.name
                told.id = topic.id
                told.partitions = topic.partitions.map { asked in
                    state.fetchOffsets.append(asked.fetchOffset)
                    var result = FetchResponse.Partition()
                    result.index = asked.index
                    let end = state.ends[asked.index] ?? 0
                    result.highWatermark = end
                    result.logStartOffset = state.logStart
                    if asked.fetchOffset < state.logStart || asked.fetchOffset > end {
                        result.error = .offsetOutOfRange
                    } else if asked.fetchOffset < end, var log = state.logs[asked.index] {
                        log.writeImmutableBuffer(state.fetchTail)
                        result.records = .bytes(log)
                    }
                    return result
                }
                answer.topics.append(told)
            }
            return answer
        }
    }

    func listOffsets(_ request: ListOffsetsRequest) -> ListOffsetsResponse {
        state.withLock { state in
            var answer = ListOffsetsResponse()
            for topic in request.topics {
                var told = ListOffsetsResponse.Topic()
                told.name = topic.name
                told.partitions = topic.partitions.map { asked in
                    state.listAttempts += 1
                    var result = ListOffsetsResponse.Partition()
                    result.index = asked.index
                    if let (error, offset) = state.listOffsets(state.listAttempts, asked.timestamp) {
                        result.error = error
                        result.offset = offset
                    } else {
                        result.offset = asked.timestamp == -2 ? state.logStart : state.ends[asked.index] ?? 0
                    }
                    return result
                }
                answer.topics.append(told)
            }
            return answer
        }
    }
}

/// One connection to one of the brokers.
private final class ScriptedBroker: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let id: Int32
    private let cluster: ScriptedCluster
    private var pending = ByteBuffer()

    init(id: Int32, _ cluster: ScriptedCluster) {
        self.id = id
        self.cluster = cluster
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var more = unwrapInboundIn(data)
        pending.writeBuffer(&more)
        while let length = pending.getInteger(at: pending.readerIndex, as: Int32.self),
            pending.readableBytes >= 4 + Int(length)
        {
            pending.moveReaderIndex(forwardBy: 4)
            guard let frame = pending.readSlice(length: Int(length)) else { return }
            do {
                guard let answer = try answer(frame) else { return context.close(promise: nil) }
                context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
            } catch {
                context.close(promise: nil)
            }
        }
    }

    private func answer(_ frame: ByteBuffer) throws -> ByteBuffer? {
        var body = frame
        let header = try RequestHeader.decode(from: &body)
        let version = header.version
        let id = header.correlationID
        cluster.state.withLock { $0.versionsSeen[header.apiKey] = version }
        switch header.apiKey {
        case .apiVersions:
            var answer = ApiVersionsResponse()
            let limit = cluster.state.withLock { state in
                answer.apis = state.apis
                return state.apiVersionsLimit
            }
            if version > limit { answer.error = .unsupportedVersion }
            return try answer.encodeFrame(correlationID: id, version: version > limit ? 0 : version).bytes
        case .metadata:
            return try cluster.metadata().encodeFrame(correlationID: id, version: version).bytes
        case .produce:
            let request = try ProduceRequest.decode(body, version: version)
            return try cluster.produce(request, at: self.id)?.encodeFrame(correlationID: id, version: version).bytes
        case .fetch:
            let request = try FetchRequest.decode(body, version: version)
            return try cluster.fetch(request).encodeFrame(correlationID: id, version: version).bytes
        case .listOffsets:
            let request = try ListOffsetsRequest.decode(body, version: version)
            return try cluster.listOffsets(request).encodeFrame(correlationID: id, version: version).bytes
        default:
            let handler = cluster.state.withLock { $0.handlers[header.apiKey] }
            return try handler?(self.id, .init(body: body, version: version, correlationID: id))
        }
    }
}
