// SPDX-License-Identifier: Apache-2.0

public import Disk
import LogModel

/// What becomes of a log of which nobody can say any more what it held, because its checkpoint is damaged or gone.
public enum SettingAside {
    private static func request(in directory: String) -> String { directory + "/rebuild" }

    /// Has the next opening set the log aside: its damage cannot be repaired entry by entry. Durable when it returns.
    public static func ask<Files: FileSystem>(for directory: String, in files: Files) throws(DiskError) {
        let file = try files.open(request(in: directory), .createOrOpen)
        try file.synchronize()
        try files.synchronizeDirectory(directory)
    }

    public static func isAsked<Files: FileSystem>(
        for directory: String, in files: Files
    ) throws(DiskError) -> Bool {
        try files.exists(request(in: directory))
    }

    /// Gives the log's directory another name, `<directory>.damaged`, durably. Nothing is deleted: an operator may look
    /// at it, and delete it once the replica has been rebuilt from its peers.
    ///
    /// - Returns: the new name.
    public static func run<Files: FileSystem>(_ directory: String, in files: Files) throws(DiskError) -> String {
        Mark.hit("SettingAside.run")
        var name = directory + ".damaged"
        var number = 1
        while try files.exists(name) {
            number += 1
            name = directory + ".damaged-\(number)"
        }
        try files.rename(directory, to: name)
        try files.synchronizeDirectory(Files.parent(of: directory))
        return name
    }
}
