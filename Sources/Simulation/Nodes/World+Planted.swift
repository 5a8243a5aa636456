// SPDX-License-Identifier: Apache-2.0

import Broker
import GodwitNode
import KafkaWire
import LogModel
import LogStorage
import NIOCore
import RaftCore
import Replication

/// Faults that are put in where nodes and clients meet.
extension World {
    /// What a broker would answer that does not look at the high watermark.
    func forgedFetch(_ frame: ByteBuffer, at machine: Machine) -> ByteBuffer? {
        guard planted == .fetchAboveWatermark, random.chance(perMille: 100) else { return nil }
        var body = frame
        guard let header = try? RequestHeader.decode(from: &body), header.apiKey == .fetch,
            let request = try? FetchRequest.decode(body, version: header.version), request.sessionEpoch <= 0,
            let topic = request.topics.first, let asked = topic.partitions.first,
            let replica = machine.watched.first(where: {
                ($0.group.topicName == topic.name || $0.replica.id.topic == topic.id)
                    && $0.replica.id.index == asked.index
            })?.replica,
            let pieces = try? replica.log.fetch(
                from: Offset(asked.fetchOffset), upTo: replica.log.endOffset, limit: .mebibytes(1))
        else { return nil }
        var records = ByteBuffer()
        for piece in pieces {
            if let content = try? piece.content() { records.writeImmutableBuffer(content) }
        }
        var answer = FetchResponse.Partition()
        answer.index = asked.index
        answer.highWatermark = replica.log.endOffset.rawValue
        answer.records = .bytes(records)
        var answered = FetchResponse.Topic()
        answered.name = topic.name
        answered.id = topic.id
        answered.partitions = [answer]
        var response = FetchResponse()
        response.topics = [answered]
        return try? response.encodeFrame(correlationID: header.correlationID, version: header.version).bytes
    }

    /// What a leader would answer that tells from memory where its logs end.
    func forgedEnds(_ reply: CallReply<SimFileSystem>, to frame: ByteBuffer) -> CallReply<SimFileSystem>? {
        guard planted == .staleEnds else { return nil }
        var body = frame
        guard case .frame(let encoded, pieces: _) = reply, let header = try? RequestHeader.decode(from: &body),
            header.apiKey == .listOffsets
        else { return nil }
        var bytes = encoded.bytes
        bytes.moveReaderIndex(forwardBy: 4)
        guard (try? ResponseHeader.decode(from: &bytes, apiKey: .listOffsets, version: header.version)) != nil,
            var response = try? ListOffsetsResponse.decode(bytes, version: header.version)
        else { return nil }
        for topic in response.topics.indices {
            for partition in response.topics[topic].partitions.indices
            where response.topics[topic].partitions[partition].error == .none {
                response.topics[topic].partitions[partition].offset /= 2
            }
        }
        let forged = try? response.encodeFrame(correlationID: header.correlationID, version: header.version)
        return forged.map { .encoded($0.bytes) }
    }

    /// Now and then a follower loses the last entry that it knows to be committed.
    func schedulePlantedCuts() {
        guard planted == .committedCut else { return }
        schedule(after: 100_000_000) {
            let machine = self.random.pick(self.machines)
            self.schedule(on: machine.place, life: machine.life, after: 0) {
                for watched in machine.watched where watched.group.isData && !watched.replica.isLeader {
                    let log = watched.replica.log
                    guard let last = watched.group.consensus.committed.last, last.end <= watched.replica.raft.commit,
                        last.start > log.start.position.end
                    else { continue }
                    try? log.truncate(to: last.start)
                }
            }
            self.schedulePlantedCuts()
        }
    }
}
