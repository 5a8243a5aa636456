// SPDX-License-Identifier: Apache-2.0

/// Finds the name that somebody probably meant.
enum Suggestion {
    /// The candidate with the fewest letters to change; `nil` when none is near. Of equals, the first.
    static func nearest(to name: String, in candidates: [String]) -> String? {
        // Longer than any name, so no near one exists and the table below stays small.
        guard name.utf8.count <= 100 else { return nil }
        let limit = max(2, name.utf8.count / 3)
        var best: (distance: Int, name: String)?
        for candidate in candidates {
            let distance = distance(Array(name.utf8), Array(candidate.utf8))
            if distance <= limit, distance < best?.distance ?? .max { best = (distance, candidate) }
        }
        return best?.name
    }

    /// Levenshtein's distance.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let substitution = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substitution, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
