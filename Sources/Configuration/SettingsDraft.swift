// SPDX-License-Identifier: Apache-2.0

import LogModel
import Settings

/// Settings while they are being read, with every complaint so far.
struct SettingsDraft {
    private var settings = NodeSettings()
    private var complaints: [ConfigurationError.Complaint] = []
    /// Where each setting got its present value.
    private var places: [String: String] = [:]

    mutating func complain(at place: String?, _ message: String) {
        complaints.append(ConfigurationError.Complaint(place: place?.printable, message: message.printable))
    }

    mutating func readFile(_ text: String, named name: String) {
        let content = SettingsFile.read(text)
        for flaw in content.flaws { complain(at: flaw.line.map { "\(name):\($0)" } ?? name, flaw.message) }
        var lines: [String: Int] = [:]
        for entry in content.entries {
            let place = "\(name):\(entry.line)"
            guard let declaration = SettingDeclaration.named(entry.name) else {
                complain(at: place, Self.unknown(entry.name))
                continue
            }
            if let line = lines[entry.name] {
                complain(at: place, "\(entry.name) was given on line \(line) already")
                continue
            }
            lines[entry.name] = entry.line
            if entry.isSequence, !declaration.isList {
                complain(at: place, "\(entry.name) takes one value, not a list")
                continue
            }
            assign(entry.text, to: declaration, at: place)
        }
    }

    mutating func readEnvironment(_ environment: [String: String], ignoring others: Set<String>) {
        let names = Dictionary(
            uniqueKeysWithValues: SettingDeclaration.all.map { (NodeConfiguration.variable(of: $0.name), $0) })
        for (variable, text) in environment.sorted(by: { $0.key < $1.key })
        where variable.hasPrefix("GODWIT_") && !others.contains(variable)
            && !variable.hasPrefix(NodeConfiguration.testVariablePrefix)
        {
            if let declaration = names[variable] {
                assign(text, to: declaration, at: variable)
            } else {
                let nearest = Suggestion.nearest(to: variable, in: names.keys.sorted())
                complain(at: variable, "no setting has this variable" + (nearest.map { "; did you mean \($0)?" } ?? ""))
            }
        }
    }

    mutating func readFlags(_ flags: [String]) {
        var seen: Set<String> = []
        for flag in flags {
            guard let equals = flag.firstIndex(of: "="), equals != flag.startIndex else {
                complain(at: "flag \(flag)", "write it as name=value")
                continue
            }
            let name = String(flag[..<equals])
            let place = "flag \(name)"
            guard let declaration = SettingDeclaration.named(name) else {
                complain(at: place, Self.unknown(name))
                continue
            }
            guard seen.insert(name).inserted else {
                complain(at: place, "given more than once")
                continue
            }
            assign(String(flag[flag.index(after: equals)...]), to: declaration, at: place)
        }
    }

    /// The settings, if nothing is wrong with them.
    func finished(_ mode: NodeConfiguration.Mode) throws(ConfigurationError) -> NodeSettings {
        var settings = settings
        var complaints = complaints
        if mode == .node {
            for declaration in SettingDeclaration.all where declaration.isRequired && places[declaration.name] == nil {
                let message =
                    "\(declaration.name) is missing: set it in the file, as "
                    + "\(NodeConfiguration.variable(of: declaration.name)) or as a flag (\(declaration.boundsText))"
                complaints.append(ConfigurationError.Complaint(place: nil, message: message))
            }
        } else if settings.voters.isEmpty, settings.cluster.seeds.isEmpty {
            let address = settings.peer.advertise ?? settings.peer.listen
            settings.voters = [Voter(id: settings.node.id, address: address)]
        }
        complaints += originComplaints(of: settings)
        for breach in settings.breaches() {
            let place = breach.settings.lazy.compactMap { places[$0] }.first
            complaints.append(ConfigurationError.Complaint(place: place, message: breach.message))
        }
        guard complaints.isEmpty else { throw ConfigurationError(complaints: complaints) }
        return settings
    }

    /// Exactly one of `cluster.voters` and `cluster.seeds` says how the node comes to its cluster.
    private func originComplaints(of settings: NodeSettings) -> [ConfigurationError.Complaint] {
        let names = (voters: Setting.clusterVoters.name, seeds: Setting.clusterSeeds.name)
        let (voters, seeds) = (places[names.voters], places[names.seeds])
        func complaint(_ place: String?, _ message: String) -> [ConfigurationError.Complaint] {
            [ConfigurationError.Complaint(place: place, message: message)]
        }
        switch (settings.cluster.voters.isEmpty, settings.cluster.seeds.isEmpty) {
        case (false, false):
            return complaint(
                seeds,
                "cluster.seeds is for a node that joins a cluster, cluster.voters for those that form one: give one")
        case (true, true):
            if let place = voters { return complaint(place, "cluster.voters must name at least one node") }
            if let place = seeds { return complaint(place, "cluster.seeds must name at least one address") }
            return complaint(
                nil,
                "cluster.voters is missing: set it in the file, as "
                    + "\(NodeConfiguration.variable(of: names.voters)) or as a flag "
                    + "(\(Setting.clusterVoters.boundsText)); a node that joins a running cluster says "
                    + "cluster.seeds instead (\(Setting.clusterSeeds.boundsText))")
        default: return []
        }
    }

    private mutating func assign(_ text: String, to declaration: SettingDeclaration, at place: String) {
        // Also when the value is bad: it has been given, so it is not missing too.
        places[declaration.name] = place
        do {
            try declaration.assign(text, in: &settings)
        } catch {
            complain(at: place, error.description)
        }
    }

    private static func unknown(_ name: String) -> String {
        if TopicConfig.named(name) != nil {
            return "\(name) is a topic's config, not a node's setting: give it when the topic is created"
        }
        let nearest = Suggestion.nearest(to: name, in: SettingDeclaration.all.map(\.name))
        return "unknown setting \(name)" + (nearest.map { "; did you mean \($0)?" } ?? "")
    }
}

extension String {
    /// Without control characters and of bounded length, since names and values are repeated in complaints.
    fileprivate var printable: String {
        let limit = 400
        let clean = unicodeScalars.prefix(limit).map { scalar in
            scalar.properties.generalCategory == .control ? "?" : String(scalar)
        }
        return clean.joined() + (unicodeScalars.count > limit ? "…" : "")
    }
}
