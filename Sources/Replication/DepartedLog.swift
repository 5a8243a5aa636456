// SPDX-License-Identifier: Apache-2.0

package import Disk

/// The files of a log that is let go.
///
/// Its directory is renamed before anything in it is removed, so that it is there or is not: half of a log that is
/// found after a crash could pass for a whole one, should the partition come back, and then nobody would know that this
/// node has forgotten what it had promised.
package struct DepartedLog {
    private let directory: String

    package init(_ directory: String) { self.directory = directory }

    /// How the names of directories end whose removal is under way, or was interrupted.
    package static let suffix = ".gone"

    package func remove<Files: FileSystem>(in files: Files) throws(DiskError) {
        let gone = directory + Self.suffix
        try files.removeTree(gone)
        if try files.exists(directory) {
            try files.rename(directory, to: gone)
            try files.synchronizeDirectory(RealFileSystem.parent(of: directory))
            try files.removeTree(gone)
        }
        try Rebuilding(directory).end(in: files)
    }
}
