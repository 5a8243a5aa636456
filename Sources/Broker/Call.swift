// SPDX-License-Identifier: Apache-2.0

public import Disk
public import KafkaWire
public import LogModel
public import LogStorage
public import NIOCore

/// How a call ends.
public enum CallReply<Files: FileSystem> {
    /// The client asked for no answer (acks=0).
    case none
    /// A whole frame; `pieces` go where its splices are, in order.
    case frame(EncodedFrame, pieces: [[FetchPiece<Files.File>]])
    /// A whole frame, length included, that was encoded elsewhere.
    case encoded(ByteBuffer)
    /// The connection cannot go on; the reason is for the log.
    case close(reason: String)
}

/// One request in flight: what was asked, and the one chance to answer.
public final class Call<Files: FileSystem> {
    public let header: RequestHeader
    /// The request's body; its byte fields are slices of this.
    public let body: ByteBuffer
    /// Where the client is, as groups show it.
    public let host: String
    public let arrived: Moment
    private var answer: ((CallReply<Files>) -> Void)?

    init(
        header: RequestHeader, body: ByteBuffer, host: String, arrived: Moment,
        answer: @escaping (CallReply<Files>) -> Void
    ) {
        self.header = header
        self.body = body
        self.host = host
        self.arrived = arrived
        self.answer = answer
    }

    var version: Int16 { header.version }
    var isAnswered: Bool { answer == nil }

    func reply(_ response: some WireResponse, pieces: [[FetchPiece<Files.File>]] = []) {
        do throws(WireError) {
            let frame = try response.encodeFrame(correlationID: header.correlationID, version: header.version)
            finish(.frame(frame, pieces: pieces))
        } catch {
            finish(.close(reason: "the answer could not be encoded: \(error)"))
        }
    }

    /// Passes on a whole frame, such as the answer that another node has made for the same request.
    func relay(_ frame: ByteBuffer) { finish(.encoded(frame)) }

    func replyNothing() { finish(.none) }

    func close(_ reason: String) { finish(.close(reason: reason)) }

    private func finish(_ reply: CallReply<Files>) {
        guard let answer else { preconditionFailure("a call is answered once") }
        self.answer = nil
        answer(reply)
    }
}
