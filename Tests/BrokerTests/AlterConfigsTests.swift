// SPDX-License-Identifier: Apache-2.0

import Broker
import KafkaWire
import LogModel
import MetadataCore
import Settings
import Testing

private typealias Incremental = IncrementalAlterConfigsRequest

private func incremental(
    _ type: ConfigResourceType, _ name: String, _ configs: [(String, ConfigOperation, String?)]
) -> Incremental {
    var request = Incremental()
    var resource = Incremental.Resource()
    resource.type = type
    resource.name = name
    resource.configs = configs.map {
        var config = Incremental.Config()
        (config.name, config.operation, config.value) = $0
        return config
    }
    request.resources = [resource]
    return request
}

private func replacing(
    _ type: ConfigResourceType, _ name: String, _ configs: [(String, String?)]
) -> AlterConfigsRequest {
    var request = AlterConfigsRequest()
    var resource = AlterConfigsRequest.Resource()
    resource.type = type
    resource.name = name
    resource.configs = configs.map {
        var config = AlterConfigsRequest.Config()
        (config.name, config.value) = $0
        return config
    }
    request.resources = [resource]
    return request
}

@Suite struct AlterConfigsTests {
    private func controller() throws -> OneController {
        let one = try OneController()
        one.form()
        _ = try one.answer(creation("events"), version: 7)
        return one
    }

    private func overrides(_ one: OneController) throws -> [String: String] {
        let topic = try #require(one.controller.state.topic(named: try TopicName("events")))
        return Dictionary(uniqueKeysWithValues: topic.configs.overrides.map { ($0.name, $0.value) })
    }

    @Test(arguments: IncrementalAlterConfigsRequest.versions)
    func configsAreSetAndGivenBackOneByOne(version: Int16) throws {
        let one = try controller()
        let set = incremental(.topic, "events", [("retention.ms", .set, "1000"), ("segment.ms", .set, "2000")])
        let answer = try one.answer(set, version: version)
        #expect(answer.results.map(\.error) == [.none])
        #expect(answer.results.first?.name == "events")
        #expect(answer.results.first?.type == .topic)
        #expect(try overrides(one) == ["retention.ms": "1000", "segment.ms": "2000"])
        #expect(one.inbox.states.last?.topic(named: try TopicName("events"))?.configs.overrides.count == 2)
        let back = incremental(.topic, "events", [("retention.ms", .delete, nil)])
        #expect(try one.answer(back, version: version).results.map(\.error) == [.none])
        #expect(try overrides(one) == ["segment.ms": "2000"])
    }

    @Test(arguments: AlterConfigsRequest.versions)
    func allConfigsAreReplaced(version: Int16) throws {
        let one = try controller()
        _ = try one.answer(replacing(.topic, "events", [("retention.ms", "1")]), version: version)
        let answer = try one.answer(replacing(.topic, "events", [("segment.ms", "2000")]), version: version)
        #expect(answer.results.map(\.error) == [.none])
        #expect(try overrides(one) == ["segment.ms": "2000"])
    }

    @Test func whatIsOnlyValidatedChangesNothing() throws {
        let one = try controller()
        var request = incremental(.topic, "events", [("retention.ms", .set, "1000")])
        request.validateOnly = true
        #expect(try one.answer(request, version: 1).results.map(\.error) == [.none])
        request.resources[0].configs[0].value = "x"
        #expect(try one.answer(request, version: 1).results.map(\.error) == [.invalidConfig])
        var whole = replacing(.topic, "events", [("retention.ms", "1000")])
        whole.validateOnly = true
        #expect(try one.answer(whole, version: 2).results.map(\.error) == [.none])
        #expect(try overrides(one).isEmpty)
    }

    // H20.
    @Test func unknownAndImpossibleConfigsAreRefusedWithTheReason() throws {
        let one = try controller()
        func refused(
            _ type: ConfigResourceType, _ name: String, _ config: (String, ConfigOperation, String?)
        ) throws -> ErrorCode? {
            let result = try one.answer(incremental(type, name, [config]), version: 1).results.first
            #expect(result?.errorMessage?.isEmpty == false)
            return result?.error
        }
        let huge = String(repeating: "9", count: 30_000)
        #expect(try refused(.topic, "events", ("no.such.config", .set, "1")) == .invalidConfig)
        #expect(try refused(.topic, "events", ("retention.ms", .set, huge)) == .invalidConfig)
        #expect(try refused(.topic, "events", (huge, .set, "1")) == .invalidConfig)
        #expect(try refused(.topic, "events", ("retention.ms", .set, nil)) == .invalidRequest)
        #expect(try refused(.topic, "events", ("retention.ms", .init(rawValue: 9), "1")) == .invalidRequest)
        #expect(try refused(.topic, "missing", ("retention.ms", .set, "1")) == .unknownTopicOrPartition)
        #expect(try refused(.topic, "a b", ("retention.ms", .set, "1")) == .invalidTopic)
        #expect(try refused(.topic, "", ("retention.ms", .set, "1")) == .invalidRequest)
        #expect(try refused(.broker, "1", ("log.segment.bytes", .set, "1")) == .invalidRequest)
        #expect(try refused(.broker, "", ("log.segment.bytes", .set, "1")) == .invalidRequest)
        #expect(try refused(.brokerLogger, "1", ("root", .set, "DEBUG")) == .invalidRequest)
        #expect(try refused(.clientMetrics, "m", ("interval.ms", .set, "1")) == .invalidRequest)
        #expect(try refused(.init(rawValue: 77), "m", ("interval.ms", .set, "1")) == .invalidRequest)
        #expect(try overrides(one).isEmpty)
    }

    @Test func aResourceThatIsNamedTwiceIsRefusedEachTime() throws {
        let one = try controller()
        var request = incremental(.topic, "events", [("retention.ms", .set, "1")])
        request.resources += request.resources + incremental(.topic, "missing", []).resources
        #expect(
            try one.answer(request, version: 1).results.map(\.error)
                == [.invalidRequest, .invalidRequest, .unknownTopicOrPartition])
        #expect(try overrides(one).isEmpty)
    }

    @Test func aRefusedResourceDoesNotTouchTheOthers() throws {
        let one = try controller()
        var request = incremental(.topic, "events", [("retention.ms", .set, "1")])
        request.resources += incremental(.topic, "missing", []).resources
        #expect(try one.answer(request, version: 1).results.map(\.error) == [.none, .unknownTopicOrPartition])
        #expect(try overrides(one) == ["retention.ms": "1"])
    }

    @Test func aGroupHasConfigsBeforeItExists() throws {
        let one = try controller()
        let request = incremental(.group, "orders", [("consumer.heartbeat.interval.ms", .set, "6000")])
        #expect(try one.answer(request, version: 1).results.map(\.error) == [.none])
        #expect(one.inbox.states.last?.groupConfigs(of: "orders").heartbeatInterval == 6_000)
        let wrong = incremental(.group, "orders", [("consumer.heartbeat.interval.ms", .set, "1")])
        #expect(try one.answer(wrong, version: 1).results.map(\.error) == [.invalidConfig])
    }

    @Test func withoutAControllerItIsSaidByName() throws {
        let node = try OneNode()
        let request = incremental(.topic, "events", [("retention.ms", .set, "1")])
        #expect(try node.ask(request, version: 1).results.map(\.error) == [.requestTimedOut])
        #expect(try node.ask(replacing(.topic, "a", []), version: 2).results.map(\.error) == [.requestTimedOut])
    }
}
