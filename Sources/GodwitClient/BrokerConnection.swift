// SPDX-License-Identifier: Apache-2.0
import KafkaWire
import NIOCore
import NIOPosix

/// One connection to one broker: requests go out pipelined, answers come back in the same order.
///
/// Lives on one event loop. Requests made before the connection stands and its versions are known wait here.
// SAFETY: every stored property is touched on `loop` alone; entry points check it.
final class BrokerConnection: @unchecked Sendable {
    /// An answer's body and the version it is written in.
    typealias Completion = (Result<(body: ByteBuffer, version: Int16), ClientError>) -> Void
    typealias Versions = [Int16: ClosedRange<Int16>]

    /// A request that waits for its turn.
    private struct Call {
        let key: ApiKey
        /// Builds the frame for a correlation id, once the broker's versions are known.
        let build: (Int32, Versions) -> Result<OutgoingFrame, ClientError>
        let deadline: NIODeadline
        let completion: Completion
    }

    private struct Unanswered {
        let correlationID: Int32
        let key: ApiKey
        let version: Int16
        let deadline: NIODeadline
        let completion: Completion
    }

    private enum State { case connecting, negotiating, ready, closed }

    let address: BrokerAddress
    private let loop: any EventLoop
    private let configuration: ClientConfiguration
    private let onClose: (BrokerConnection) -> Void
    private var state = State.connecting
    private var channel: (any Channel)?
    private var versions: Versions = [:]
    private var waiting = CircularBuffer<Call>()
    private var unanswered = CircularBuffer<Unanswered>()
    private var nextCorrelationID: Int32 = 0
    private var timer: Scheduled<Void>?
    private var flushIsDue = false
    /// The connection could not be made, or broke, for this reason.
    private(set) var failure: ClientError?

    init(
        to address: BrokerAddress, on loop: any EventLoop, configuration: ClientConfiguration,
        onClose: @escaping (BrokerConnection) -> Void
    ) {
        self.address = address
        self.loop = loop
        self.configuration = configuration
        self.onClose = onClose
    }

    var isUsable: Bool { state != .closed }
    var isReady: Bool { state == .ready }

    // MARK: Requests

    /// Sends a request and hands over its decoded answer.
    ///
    /// - Parameter limit: a version above which this request cannot say what it means.
    func send<Request: WireRequest>(
        _ request: Request, limit: Int16 = .max, timeout: TimeAmount,
        then: @escaping (Result<Request.Response, ClientError>) -> Void
    ) {
        let clientID = configuration.clientID
        send(
            Request.self, limit: limit, timeout: timeout,
            frame: { correlationID, version in
                encode(request, correlationID, clientID, version)
            }, then: then)
    }

    /// The same for a frame that the caller builds, for a correlation id and in the version agreed on.
    func send<Request: WireRequest>(
        _ type: Request.Type, limit: Int16 = .max, timeout: TimeAmount,
        frame: @escaping (Int32, Int16) -> Result<OutgoingFrame, ClientError>,
        then: @escaping (Result<Request.Response, ClientError>) -> Void
    ) {
        loop.preconditionInEventLoop()
        let call = Call(
            key: Request.apiKey,
            build: { correlationID, versions in
                guard let version = Self.agreed(Request.self, versions, limit: limit) else {
                    return .failure(.notSupported("\(Request.apiKey)"))
                }
                return frame(correlationID, version)
            }, deadline: .now() + timeout
        ) { [weak self] result in
            let answer = result.flatMap { answer in
                do throws(WireError) {
                    return .success(try decode(Request.Response.self, answer.body, answer.version))
                } catch {
                    return .failure(ClientError.badAnswer("\(Request.apiKey) v\(answer.version): \(error)"))
                }
            }
            // Bytes that do not parse mean that nothing after them can be trusted either.
            if case .failure(.badAnswer(let why)) = answer { self?.close(.badAnswer(why)) }
            then(answer)
        }
        submit(call)
    }

    /// Sends a request that has no answer, a produce with acks=0. Completes when the bytes have left.
    func sendWithoutAnswer<Request: WireRequest>(
        _ type: Request.Type, limit: Int16 = .max,
        frame: @escaping (Int32, Int16) -> Result<OutgoingFrame, ClientError>,
        then: @escaping (Result<Void, ClientError>) -> Void
    ) {
        loop.preconditionInEventLoop()
        guard state == .ready, let channel else {
            // An ApiVersions is answered when the connection stands and this can be said.
            return send(ApiVersionsRequest(), limit: 0, timeout: configuration.requestTimeout) { [weak self] result in
                guard let self else { return then(.failure(.closed)) }
                switch result {
                case .failure(let error): then(.failure(error))
                case .success: self.sendWithoutAnswer(type, limit: limit, frame: frame, then: then)
                }
            }
        }
        guard let version = Self.agreed(Request.self, versions, limit: limit) else {
            return then(.failure(.notSupported("\(Request.apiKey)")))
        }
        switch frame(takeCorrelationID(), version) {
        case .failure(let error): then(.failure(error))
        case .success(let outgoing):
            let finish = OnLoop(then, loop)
            let address = address
            let promise = channel.eventLoop.makePromise(of: Void.self)
            promise.futureResult.whenComplete { result in
                finish.value(result.mapError { _ in .connectionClosed("\(address)") })
            }
            write(outgoing, to: channel, promise: promise)
        }
    }

    /// The highest version that both sides speak.
    private static func agreed<Request: WireRequest>(
        _ request: Request.Type, _ versions: Versions, limit: Int16
    ) -> Int16? {
        // What is never advertised is asked for on trust; a broker that does not know it hangs up.
        if Request.apiKey.isGodwitsOwn { return Request.versions.upperBound }
        guard let theirs = versions[Request.apiKey.rawValue] else { return nil }
        let version = min(theirs.upperBound, Request.versions.upperBound, limit)
        return version >= max(theirs.lowerBound, Request.versions.lowerBound) ? version : nil
    }

    private func submit(_ call: Call) {
        if state == .closed {
            return call.completion(.failure(failure ?? .connectionClosed("\(address)")))
        }
        waiting.append(call)
        armTimer()
        if state == .ready { sendWaiting() }
    }

    private func sendWaiting() {
        while state == .ready, unanswered.count < configuration.maxRequestsInFlight, let call = waiting.popFirst() {
            transmit(call, versions)
        }
    }

    private func transmit(_ call: Call, _ versions: Versions) {
        guard let channel else { return call.completion(.failure(.connectionClosed("\(address)"))) }
        let correlationID = takeCorrelationID()
        switch call.build(correlationID, versions) {
        case .failure(let error): call.completion(.failure(error))
        case .success(let outgoing):
            unanswered.append(
                Unanswered(
                    correlationID: correlationID, key: call.key, version: outgoing.version, deadline: call.deadline,
                    completion: call.completion))
            write(outgoing, to: channel, promise: nil)
        }
    }

    private func takeCorrelationID() -> Int32 {
        nextCorrelationID = nextCorrelationID == .max ? 1 : nextCorrelationID + 1
        return nextCorrelationID
    }

    /// Everything that is written in one turn of the loop leaves with one flush.
    private func write(_ outgoing: OutgoingFrame, to channel: any Channel, promise: EventLoopPromise<Void>?) {
        if let rest = outgoing.rest {
            channel.write(outgoing.head, promise: nil)
            channel.write(rest, promise: promise)
        } else {
            channel.write(outgoing.head, promise: promise)
        }
        guard !flushIsDue else { return }
        flushIsDue = true
        loop.execute {
            self.flushIsDue = false
            self.channel?.flush()
        }
    }

    // MARK: Timeouts

    private func armTimer() {
        guard timer == nil, let deadline = earliestDeadline else { return }
        timer = loop.scheduleTask(deadline: deadline) { self.timerFired() }
    }

    private var earliestDeadline: NIODeadline? {
        let deadlines = waiting.lazy.map(\.deadline)
        return [deadlines.min(), unanswered.lazy.map(\.deadline).min()].compactMap { $0 }.min()
    }

    private func timerFired() {
        timer = nil
        let now = NIODeadline.now()
        if unanswered.contains(where: { $0.deadline <= now }) {
            // Answers come in order, so one that is late holds up all behind it: only a new connection helps.
            return close(.timedOut("a request to \(address)"))
        }
        let late = waiting.filter { $0.deadline <= now }
        waiting.removeAll { $0.deadline <= now }
        for call in late { call.completion(.failure(.timedOut("a request to \(address)"))) }
        armTimer()
    }

    // MARK: Life

    func connect() {
        loop.preconditionInEventLoop()
        let limit = configuration.maxFrameBytes
        ClientBootstrap(group: loop)
            .connectTimeout(configuration.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 256 << 10))
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelOption(.writeBufferWaterMark, value: .init(low: 1 << 20, high: 8 << 20))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AnswerHandler(reader: FrameReader(limit: limit), connection: self))
                }
            }
            .connect(host: address.host, port: address.port)
            .whenComplete { result in self.connected(result) }
    }

    private func connected(_ result: Result<any Channel, any Error>) {
        switch result {
        case .failure(let error): close(.noBroker(tried: ["\(address): \(reason(error))"]))
        case .success(let channel):
            guard state == .connecting else { return channel.close(promise: nil) }
            self.channel = channel
            state = .negotiating
            negotiate(version: ApiVersionsRequest.versions.upperBound)
        }
    }

    private func reason(_ error: any Error) -> String {
        let text = "\(error)"
        // What the system says is inside NIO's wrapping; the two that people meet are put in words.
        if text.contains("errno: 111") || text.contains("Connection refused") { return "nobody listens" }
        if text.contains("connectTimeout") || text.contains("ChannelError.connectTimeout") { return "no answer" }
        if error is NIOConnectionError, text.contains("dnsAError") || text.contains("dnsAAAAError") {
            return text.contains("errno:") ? text : "the name is not known"
        }
        return text
    }

    /// Asks which versions the broker speaks. One that does not know ours answers in version 0 (KIP-511).
    private func negotiate(version: Int16) {
        var request = ApiVersionsRequest()
        request.clientSoftwareName = "godwit-swift"
        request.clientSoftwareVersion = "1"
        let asked = request
        let clientID = configuration.clientID
        let call = Call(
            key: ApiVersionsRequest.apiKey,
            build: { correlationID, _ in
                do throws(WireError) {
                    let frame = try asked.encodeFrame(
                        correlationID: correlationID, clientID: clientID, version: version)
                    return .success(OutgoingFrame(head: frame.bytes, version: version))
                } catch {
                    return .failure(.invalid("\(error)"))
                }
            }, deadline: .now() + configuration.requestTimeout
        ) { [weak self] result in
            self?.negotiated(result, asked: version)
        }
        transmit(call, [:])
        armTimer()
    }

    private func negotiated(_ result: Result<(body: ByteBuffer, version: Int16), ClientError>, asked: Int16) {
        guard case .success((let body, let version)) = result else { return }
        guard let code = body.getInteger(at: body.readerIndex, as: Int16.self) else {
            return close(.badAnswer("an empty ApiVersions answer"))
        }
        if ErrorCode(rawValue: code) == .unsupportedVersion, asked > 0 { return negotiate(version: 0) }
        do throws(WireError) {
            let answer = try ApiVersionsResponse.decode(body, version: version)
            guard answer.error == .none else {
                return close(.refused(answer.error, subject: "\(address)", message: nil))
            }
            for api in answer.apis where api.minVersion <= api.maxVersion {
                versions[api.key.rawValue] = api.minVersion...api.maxVersion
            }
        } catch {
            return close(.badAnswer("ApiVersions v\(version): \(error)"))
        }
        state = .ready
        sendWaiting()
    }

    fileprivate func received(_ frame: ByteBuffer) throws(ClientError) {
        guard let call = unanswered.first else { throw .badAnswer("an answer nobody asked for") }
        var body = frame
        let id: Int32
        do throws(WireError) {
            id = try ResponseHeader.decode(from: &body, apiKey: call.key, version: call.version)
        } catch {
            throw .badAnswer("\(call.key): \(error)")
        }
        guard id == call.correlationID else {
            throw .badAnswer("\(call.key): correlation id \(id) instead of \(call.correlationID)")
        }
        unanswered.removeFirst()
        call.completion(.success((body, call.version)))
        sendWaiting()
    }

    fileprivate func broke(_ reason: ClientError?) {
        close(reason ?? .connectionClosed("\(address)"))
    }

    func close(_ reason: ClientError) {
        loop.preconditionInEventLoop()
        guard state != .closed else { return }
        state = .closed
        failure = reason
        timer?.cancel()
        timer = nil
        channel?.close(promise: nil)
        channel = nil
        let calls = unanswered.map(\.completion) + waiting.map(\.completion)
        unanswered.removeAll()
        waiting.removeAll()
        for completion in calls { completion(.failure(reason)) }
        onClose(self)
    }
}

/// A frame on its way: `head` is a fresh buffer, `rest` may be shared and is sent as it is, without a copy.
struct OutgoingFrame {
    var head: ByteBuffer
    var rest: ByteBuffer?
    let version: Int16

    init(head: ByteBuffer, rest: ByteBuffer? = nil, version: Int16) {
        self.head = head
        self.rest = rest
        self.version = version
    }
}

func encode<Request: WireRequest>(
    _ request: Request, _ correlationID: Int32, _ clientID: String, _ version: Int16
) -> Result<OutgoingFrame, ClientError> {
    do throws(WireError) {
        let frame = try request.encodeFrame(correlationID: correlationID, clientID: clientID, version: version)
        return .success(OutgoingFrame(head: frame.bytes, version: version))
    } catch {
        return .failure(.invalid("the \(Request.apiKey) request cannot be written: \(error)"))
    }
}

/// Decodes an answer. Some brokers that are not Kafka end it with empty tag sections it should not have, which other
/// clients never look at: up to four zero bytes too many are forgiven.
private func decode<Response: WireResponse>(
    _ type: Response.Type, _ body: ByteBuffer, _ version: Int16
) throws(WireError) -> Response {
    var rest = body
    for _ in 0..<4 {
        do throws(WireError) {
            return try Response.decode(rest, version: version)
        } catch {
            guard error == .trailingBytes, rest.readableBytesView.last == 0 else { throw error }
            rest.moveWriterIndex(to: rest.writerIndex - 1)
        }
    }
    return try Response.decode(rest, version: version)
}

/// Something that stays on its loop while a promise of the same loop carries it along.
// SAFETY: `value` is read on `loop` alone, which the accessor checks.
struct OnLoop<Value>: @unchecked Sendable {
    private let wrapped: Value
    private let loop: any EventLoop

    init(_ value: Value, _ loop: any EventLoop) {
        wrapped = value
        self.loop = loop
    }

    var value: Value {
        loop.preconditionInEventLoop()
        return wrapped
    }
}

/// Turns what the channel reads into frames and hands them to the connection.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var reader: FrameReader
    private let connection: BrokerConnection

    init(reader: FrameReader, connection: BrokerConnection) {
        self.reader = reader
        self.connection = connection
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(ClientError) {
            try reader.feed(unwrapInboundIn(data)) { (frame) throws(ClientError) in try connection.received(frame) }
        } catch {
            connection.broke(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.broke(nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.broke(nil)
        context.close(promise: nil)
    }
}
