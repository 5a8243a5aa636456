// SPDX-License-Identifier: Apache-2.0

import Disk
import LogModel
import NIOCore
import Simulation
import Testing

@testable import LogStorage

struct HardStateJournalTests {
    private typealias Journal = HardStateJournal<SimFileSystem>
    private let path = "/data/j/hardstate"

    private func group(_ number: Int32) -> PartitionID { PartitionID(topic: TopicID(high: 7, low: 9), index: number) }
    private func state(_ term: Int32, _ vote: Int32? = nil) -> HardState {
        HardState(term: Term(term), vote: vote.map { NodeID($0) })
    }

    private func open(_ files: SimFileSystem, rewriteBytes: Int64 = 1 << 20) throws -> HardStateJournal<SimFileSystem> {
        try Journal.open(directory: "/data/j", in: files, rewriteBytes: rewriteBytes)
    }

    private func sync(_ journal: HardStateJournal<SimFileSystem>) throws {
        guard let ticket = try journal.beginSync() else { return }
        try journal.completeSync(ticket, ticket.run())
    }

    /// T-V1 (hraft 661).
    @Test(arguments: DiskKind.allCases)
    func whatWasRecordedLastIsKept(kind: DiskKind) throws {
        try withFiles(kind) { (files, directory) throws in
            func open() throws -> HardStateJournal<TestFiles> {
                try HardStateJournal.open(directory: directory + "/j", in: files)
            }
            var journal = try open()
            #expect(journal.groups.isEmpty && !journal.isDirty && journal.state(of: .metadata) == HardState())
            #expect(try journal.beginSync() == nil)
            journal.record(state(3, 1), for: group(2))
            journal.record(state(1), for: group(0))
            journal.record(state(4), for: group(2))
            journal.record(state(9, 2), for: .metadata)
            journal.forget(group(0))
            journal.forget(group(5))
            #expect(journal.isDirty)
            let ticket = try #require(try journal.beginSync())
            try journal.completeSync(ticket, ticket.run())
            #expect(!journal.isDirty)
            journal = try open()
            #expect(journal.groups == [.metadata, group(2)])
            #expect(journal.state(of: group(2)) == state(4) && journal.state(of: .metadata) == state(9, 2))
            #expect(journal.state(of: group(0)) == HardState())
        }
    }

    /// What a copy promised that was opened while the journal was being revived was taken for durable.
    @Test func whatIsRecordedDuringARevivalStaysDirty() throws {
        let files = try makeMachine()
        var journal = try open(files)
        journal.record(state(1), for: group(1))
        files.fail(.synchronize)
        #expect(refusal { try sync(journal) } != nil)
        #expect(journal.isFailed && !journal.isDirty)
        files.heal()
        journal.record(state(2), for: group(1))
        let ticket = try journal.beginRevival()
        journal.record(state(6, 2), for: group(1))
        journal.record(state(4), for: group(2))
        try journal.completeRevival(ticket, ticket.run())
        #expect(!journal.isFailed && journal.isDirty)
        try sync(journal)
        files.crash(.nothing)
        journal = try open(files)
        #expect(journal.state(of: group(1)) == state(6, 2) && journal.state(of: group(2)) == state(4))
    }

    @Test func whatIsRecordedDuringASyncStaysDirty() throws {
        let files = try makeMachine()
        var journal = try open(files)
        journal.record(state(1), for: group(1))
        let ticket = try #require(try journal.beginSync())
        #expect(journal.isDirty, "a sync that has begun is not one that is done")
        journal.record(state(2), for: group(1))
        #expect(try journal.beginSync() == nil, "one at a time")
        try journal.completeSync(ticket, ticket.run())
        #expect(journal.isDirty)
        files.crash(.all)
        journal = try open(files)
        #expect(journal.state(of: group(1)) == state(1))
    }

    @Test func aFailedSyncEndsItsUse() throws {
        let files = try makeMachine()
        let journal = try open(files)
        journal.record(state(1), for: group(1))
        files.fail(.synchronize)
        #expect(refusal { try sync(journal) } == .disk(DiskError(.synchronize, code: 5, path: path)))
        journal.record(state(2), for: group(1))
        #expect(refusal { try sync(journal) } == .failed)
        #expect(!journal.isDirty)
    }

    /// A journal with a durable frame and one that is being written, and where the first ends.
    private func prepared(_ files: SimFileSystem) throws -> (content: [UInt8], durable: Int) {
        let journal = try open(files)
        journal.record(state(1, 1), for: group(1))
        try sync(journal)
        let durable = try files.bytes(of: path).count
        for number in 0..<4 as Range<Int32> { journal.record(state(2, 2), for: group(number)) }
        _ = try journal.beginSync()
        return (try files.bytes(of: path), durable)
    }

    private func put(_ content: some Collection<UInt8>, _ files: SimFileSystem) throws {
        files.crash(.nothing)
        let file = try files.open(path, .existing)
        try file.truncate(to: .zero)
        try Array(content).withUnsafeBufferPointer { (content) throws(DiskError) in
            try file.write([UnsafeRawBufferPointer(content)], at: .zero)
        }
    }

    @Test func everyTornTailIsCut() throws {
        let files = try makeMachine()
        let (content, durable) = try prepared(files)
        for size in durable..<content.count {
            try put(content.prefix(size), files)
            let journal = try open(files)
            // Of a frame that stands twice the first copy is enough.
            let isWhole = size >= durable + (content.count - durable) / 2
            #expect(journal.state(of: group(1)) == (isWhole ? state(2, 2) : state(1, 1)), "\(size)")
            #expect(journal.groups.count == (isWhole ? 4 : 1))
        }
        try put([], files)
        #expect(refusal { _ = try open(files) }?.isCorrupt == true, "an empty journal is not a new one")
    }

    @Test func noFlippedBitLosesAVote() throws {
        let files = try makeMachine()
        let (content, _) = try prepared(files)
        for bit in 0..<content.count * 8 {
            var flipped = content
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            try put(flipped, files)
            let journal = try open(files)
            #expect(journal.groups.count == 4 && journal.state(of: group(1)) == state(2, 2), "\(bit)")
            #expect(journal.state(of: group(3)) == state(2, 2))
        }
    }

    /// T-D12 (KAFKA-15412).
    @Test func aFrameOfWhichBothCopiesAreDamagedIsNeverForgotten() throws {
        let files = try makeMachine()
        let (content, durable) = try prepared(files)
        // The first frame has no records, the second one does.
        let first = Int(2 * HardStateFrame.size(of: 0))
        let size = (durable - first) / 2
        for position in 0..<size {
            var flipped = content
            flipped[first + position] ^= 4
            flipped[first + size + (position * 7) % size] ^= 64
            try put(flipped, files)
            #expect(refusal { _ = try open(files) }?.isCorrupt == true, "\(position)")
        }
    }

    @Test func journalsOfTheFirstVersionAreRead() throws {
        let files = try makeMachine()
        _ = try open(files)
        var old = Array(HardStateFrame.encode([], sequence: 1).readableBytesView)
        for number in 1...3 as ClosedRange<Int32> {
            let record = HardStateFrame.Record(group: group(number), state: state(number, 1))
            old += HardStateFrame.encode([record], sequence: UInt64(number) + 1).readableBytesView
        }
        try put(old, files)
        #expect(try open(files).groups == [group(1), group(2), group(3)])
        // There a damaged frame is lost, and never forgotten.
        old[60] ^= 1
        try put(old, files)
        #expect(refusal { _ = try open(files) }?.isCorrupt == true)
    }

    @Test func aJournalThatHasGrownIsWrittenAnew() throws {
        let files = try makeMachine()
        var journal = try open(files, rewriteBytes: 500)
        for term in 1...200 as ClosedRange<Int32> {
            journal.record(state(term), for: group(term % 3))
            try sync(journal)
            #expect(try files.bytes(of: path).count <= 2_000, "each frame stands twice")
        }
        #expect(try files.list("/data/j") == ["hardstate"])
        files.crash(.all)
        journal = try open(files, rewriteBytes: 500)
        #expect(journal.groups.map { journal.state(of: $0) } == [state(198), state(199), state(200)])
    }

    /// Random records, syncs, faults and crashes: every group's state is one that was recorded at or after its last
    /// durable one.
    @Test(arguments: 0..<300 as Range<UInt64>)
    func nothingPromisedIsForgotten(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let files = try makeMachine(seed: seed)
        let rewrite: Int64 = random.below(2) == 0 ? 300 : 1 << 20
        var journal = try open(files, rewriteBytes: rewrite)
        var history: [[HardState]] = Array(repeating: [HardState()], count: 4)
        var durable = [0, 0, 0, 0]
        var ticket: (SyncTicket<SimFileSystem>, [Int])?
        for step in 0..<120 {
            let number = random.below(4)
            switch random.below(20) {
            case ..<10:
                let state = state(Int32(step + 1), random.below(2) == 0 ? 1 : nil)
                journal.record(state, for: group(Int32(number)))
                history[number].append(state)
            case ..<11:
                journal.forget(group(Int32(number)))
                history[number].append(HardState())
            case ..<15:
                if let begun = try? journal.beginSync() { ticket = (begun, history.map { $0.count - 1 }) }
            case ..<18:
                guard let (begun, covered) = ticket else { continue }
                ticket = nil
                if (try? journal.completeSync(begun, begun.run())) != nil { durable = covered }
            case ..<19:
                let operations: [DiskError.Operation] = [.write, .synchronize, .rename, .open]
                files.fail(operations[random.below(4)])
            default:
                files.crash(random.below(3) == 0 ? .nothing : .some)
                files.heal()
                ticket = nil
                journal = try open(files, rewriteBytes: rewrite)
                for number in 0..<4 {
                    let found = journal.state(of: group(Int32(number)))
                    #expect(history[number][durable[number]...].contains(found))
                    history[number] = [found]
                    durable[number] = 0
                }
            }
        }
    }
}
