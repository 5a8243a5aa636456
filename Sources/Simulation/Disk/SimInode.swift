// SPDX-License-Identifier: Apache-2.0

/// The bytes of a file: as programs see them, and as they would be found after a loss of power.
///
/// The unit of writing back is a page; within a page that was being written when the power went, each sector is old,
/// new, or begun: what was being changed in it is new up to some byte, and old or garbage from there on (the model of
/// FoundationDB's `AsyncFileNonDurable`). The file's length goes its own way, as metadata does.
final class SimInode {
    private(set) var visible: [UInt8] = []
    private(set) var durable: [UInt8] = []
    /// Pages whose visible bytes have not been written back.
    private var dirty: Set<Int> = []
    /// Pages that a failed sync has marked clean without having written them back.
    private var lost: Set<Int> = []
    /// The shortest the file has been since its length was last made durable, when that cut anything.
    private var cut: Int?

    /// Sectors that the disk cannot read any more; writing one anew mends it.
    private var unreadable: Set<Int> = []

    static let pageSize = 4096
    static let sectorSize = 512

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) {
        guard bytes.count > 0 else { return }
        let end = position + bytes.count
        let from = min(position, visible.count)
        if visible.count < end { visible.append(contentsOf: repeatElement(0, count: end - visible.count)) }
        visible.withUnsafeMutableBytes { $0[position..<end].copyBytes(from: bytes) }
        touch(from..<end)
        if !unreadable.isEmpty {
            for sector in position / Self.sectorSize...(end - 1) / Self.sectorSize { unreadable.remove(sector) }
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) -> Int {
        guard position < visible.count else { return 0 }
        let count = min(buffer.count, visible.count - position)
        visible.withUnsafeBytes { buffer.copyBytes(from: $0[position..<position + count]) }
        return count
    }

    /// - Parameter writesBack: which pages the kernel happens to have written back before.
    func truncate(to size: Int, writesBack: (Int) -> Bool) {
        for page in dirty.sorted() where writesBack(page) { writeBack(page, sectors: { _ in true }, into: &durable) }
        if size < visible.count {
            visible.removeLast(visible.count - size)
            cut = min(cut ?? size, size)
            unreadable = unreadable.filter { $0 * Self.sectorSize < size }
            dirty = dirty.filter { $0 * Self.pageSize < size }
            lost = lost.filter { $0 * Self.pageSize < size }
            if size % Self.pageSize != 0 { dirty.insert(size / Self.pageSize) }
        } else if size > visible.count {
            let from = visible.count
            visible.append(contentsOf: repeatElement(0, count: size - from))
            touch(from..<size)
        }
    }

    func synchronize() {
        if durable.count > visible.count { durable.removeLast(durable.count - visible.count) }
        if let cut, cut < durable.count { durable.removeLast(durable.count - cut) }
        if durable.count < visible.count {
            durable.append(contentsOf: repeatElement(0, count: visible.count - durable.count))
        }
        for page in dirty { writeBack(page, sectors: { _ in true }, into: &durable) }
        dirty.removeAll(keepingCapacity: true)
        cut = nil
    }

    /// A sync that fails: the pages count as clean, and no later sync writes them (ATC'20, see `DiskError.isFatal`).
    func failSynchronize() {
        lost.formUnion(dirty)
        dirty.removeAll()
    }

    /// Changes a bit of what is stored, as a worn disk does.
    func flip(bit: Int, at position: Int) {
        visible[position] ^= 1 << UInt8(bit)
        if position < durable.count { durable[position] ^= 1 << UInt8(bit) }
    }

    /// Puts other bytes in the place of what is stored, as a write does that was meant for another place.
    func overwrite(_ bytes: [UInt8], at position: Int) {
        for (place, byte) in bytes.enumerated() where position + place < visible.count {
            visible[position + place] = byte
            if position + place < durable.count { durable[position + place] = byte }
        }
    }

    func loseSector(at position: Int) { unreadable.insert(position / Self.sectorSize) }

    func isReadable(_ count: Int, at position: Int) -> Bool {
        guard !unreadable.isEmpty, count > 0 else { return true }
        return unreadable.isDisjoint(with: Set(position / Self.sectorSize...(position + count - 1) / Self.sectorSize))
    }

    /// The power goes. What was not synchronized is kept, lost or torn, as `chance` has it.
    func losePower(keepsNothing: Bool, _ chance: inout SimRandom) {
        var image = durable
        if !keepsNothing {
            if let cut, cut < image.count, chance.coin() { image.removeLast(image.count - cut) }
            // Often all or nothing: what a run full of holes hides.
            let mood = chance.below(4)
            for page in dirty.sorted() {
                switch mood {
                case 0: break
                case 1: writeBack(page, sectors: { _ in true }, into: &image)
                default:
                    let isTorn = chance.below(4) == 0
                    guard chance.coin() || isTorn else { continue }
                    if isTorn {
                        tear(page, into: &image, &chance)
                    } else {
                        writeBack(page, sectors: { _ in true }, into: &image)
                    }
                }
            }
            if image.count < visible.count, chance.below(4) == 0 {
                let more = 1 + chance.below(visible.count - image.count)
                image.append(contentsOf: repeatElement(0, count: more))
            }
        }
        visible = image
        durable = image
        dirty.removeAll()
        lost.removeAll()
        cut = nil
    }

    /// Some sectors are old, some new, and some were being written at that moment.
    private func tear(_ page: Int, into image: inout [UInt8], _ chance: inout SimRandom) {
        let old = image
        let sectors = chance.next()
        writeBack(page, sectors: { sectors >> UInt64($0) & 1 == 1 }, into: &image)
        for sector in 0..<Self.pageSize / Self.sectorSize where sectors >> UInt64(sector) & 1 == 1 {
            guard chance.below(3) == 0 else { continue }
            let from = page * Self.pageSize + sector * Self.sectorSize
            let to = min(from + Self.sectorSize, visible.count)
            guard from < to else { break }
            let isGarbage = chance.coin()
            for byte in from + chance.below(to - from)..<to {
                let before = byte < old.count ? old[byte] : 0
                // What was not being changed is not in danger: a disk that loses that has other faults.
                guard byte >= old.count || before != visible[byte] else { continue }
                image[byte] = isGarbage ? UInt8(truncatingIfNeeded: chance.next()) : before
            }
        }
    }

    private func touch(_ range: Range<Int>) {
        for page in range.lowerBound / Self.pageSize...(range.upperBound - 1) / Self.pageSize {
            dirty.insert(page)
            lost.remove(page)
        }
    }

    private func writeBack(_ page: Int, sectors: (Int) -> Bool, into image: inout [UInt8]) {
        let start = page * Self.pageSize
        let end = min(start + Self.pageSize, visible.count)
        for sector in 0..<Self.pageSize / Self.sectorSize where sectors(sector) {
            let from = start + sector * Self.sectorSize
            let to = min(from + Self.sectorSize, end)
            guard from < to else { break }
            if image.count < to { image.append(contentsOf: repeatElement(0, count: to - image.count)) }
            image.replaceSubrange(from..<to, with: visible[from..<to])
        }
    }
}
