// SPDX-License-Identifier: Apache-2.0

import Yams

/// A YAML text as a flat list of names and values with their lines; nested keys are joined by dots.
struct SettingsFile {
    struct Entry {
        let name: String
        let text: String
        let isSequence: Bool
        let line: Int
    }

    struct Flaw {
        let line: Int?
        let message: String
    }

    private(set) var entries: [Entry] = []
    private(set) var flaws: [Flaw] = []

    private static let depthMax = 16

    static func read(_ text: String) -> SettingsFile {
        var file = SettingsFile()
        do {
            guard let root = try Yams.compose(yaml: text) else { return file }
            switch root {
            case .mapping(let mapping): file.walk(mapping, below: "", depth: 0)
            case .scalar(let scalar) where scalar.string.isEmpty: break
            case .scalar, .sequence, .alias: file.complain(root, "the file must be a mapping of settings")
            }
        } catch let error as YamlError {
            file.flaws.append(flaw(of: error))
        } catch {
            file.flaws.append(Flaw(line: nil, message: "not YAML: \(error)"))
        }
        return file
    }

    private mutating func complain(_ node: Node, _ message: String) {
        flaws.append(Flaw(line: node.mark?.line, message: message))
    }

    private mutating func walk(_ mapping: Node.Mapping, below prefix: String, depth: Int) {
        for (key, value) in mapping {
            guard case .scalar(let keyScalar) = key, !keyScalar.string.isEmpty else {
                complain(key, "a setting's name must be a plain text")
                continue
            }
            let name = prefix + keyScalar.string
            let line = keyScalar.mark?.line ?? 0
            switch value {
            case .mapping(let inner):
                if depth < Self.depthMax {
                    walk(inner, below: name + ".", depth: depth + 1)
                } else {
                    complain(key, "nested too deeply")
                }
            case .sequence(let sequence): take(sequence, name: name, line: line)
            case .scalar(let scalar):
                // A plain `~`, `null` or nothing; a quoted "" is a text.
                guard value.null == nil || scalar.style != .plain else {
                    complain(key, "\(name) has no value: leave the line out to have the default")
                    continue
                }
                entries.append(Entry(name: name, text: scalar.string, isSequence: false, line: line))
            case .alias: complain(key, "\(name) refers to an anchor, which is not supported")
            }
        }
    }

    private mutating func take(_ sequence: Node.Sequence, name: String, line: Int) {
        var items: [String] = []
        for item in sequence {
            guard case .scalar(let scalar) = item else {
                complain(item, "\(name): every item must be one value")
                return
            }
            items.append(scalar.string)
        }
        entries.append(Entry(name: name, text: items.joined(separator: ","), isSequence: true, line: line))
    }

    private static func flaw(of error: YamlError) -> Flaw {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return Flaw(line: mark.line, message: "not YAML: \(problem) (column \(mark.column))")
        case .duplicatedKeysInMapping(let names, let context):
            return Flaw(line: context.mark.line, message: "given more than once: \(names.joined(separator: ", "))")
        case .reader(let problem, _, _, _): return Flaw(line: nil, message: "not YAML: \(problem)")
        default: return Flaw(line: nil, message: "not YAML")
        }
    }
}
