// SPDX-License-Identifier: Apache-2.0

/// A simulated directory: its names as programs see them, and as they would be found after a loss of power.
final class SimDirectory {
    enum Node {
        case file(SimInode)
        case directory(SimDirectory)

        func isSame(as other: Node) -> Bool {
            switch (self, other) {
            case (.file(let one), .file(let other)): one === other
            case (.directory(let one), .directory(let other)): one === other
            default: false
            }
        }
    }

    /// One change of names that the file system keeps whole or not at all.
    private struct Change {
        let names: [String]
        let nodes: [Node?]
    }

    private(set) var names: [String: Node] = [:]
    private var durable: [String: Node] = [:]
    private var pending: [Change] = []
    /// The names of a root are durable at once: a machine is delivered with its mount points.
    private let isRoot: Bool

    init(isRoot: Bool = false) { self.isRoot = isRoot }

    func set(_ name: String, to node: Node?) { change([name], [node]) }

    /// Within one directory a rename is atomic.
    func rename(_ name: String, to newName: String) {
        guard let node = names[name] else { return }
        if name != newName { change([name, newName], [nil, node]) }
    }

    private func change(_ changed: [String], _ nodes: [Node?]) {
        for (name, node) in zip(changed, nodes) { names[name] = node }
        if isRoot { durable = names } else { pending.append(Change(names: changed, nodes: nodes)) }
    }

    func synchronize() {
        durable = names
        pending.removeAll(keepingCapacity: true)
    }

    /// The power goes. Of the changes since the last sync some are kept; none is without those before it that concern
    /// the same names.
    func losePower(keepsNothing: Bool, _ chance: inout SimRandom) {
        if !keepsNothing {
            let mood = chance.below(3)
            var blocked: Set<String> = []
            for change in pending {
                let isKept = mood == 0 ? true : mood == 1 ? false : chance.coin()
                guard isKept, !change.names.contains(where: { blocked.contains($0) }) else {
                    blocked.formUnion(change.names)
                    continue
                }
                for (name, node) in zip(change.names, change.nodes) { durable[name] = node }
            }
        }
        names = durable
        pending.removeAll()
        for name in names.keys.sorted() {
            switch names[name] {
            case .directory(let directory): directory.losePower(keepsNothing: keepsNothing, &chance)
            case .file(let inode): inode.losePower(keepsNothing: keepsNothing, &chance)
            case nil: break
            }
        }
    }
}
