// SPDX-License-Identifier: Apache-2.0

public import LogModel

extension PartitionLog {
    /// Whether everything from `index` on can be read without the disk.
    public func isInMemory(from index: LogIndex) -> Bool { recent.start.map { $0 <= index } ?? (index >= end) }
}
