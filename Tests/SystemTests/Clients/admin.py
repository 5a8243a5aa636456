# SPDX-License-Identifier: Apache-2.0
"""What the cluster answers to librdkafka's admin client, in Kafka's error codes.

admin.py --bootstrap LIST --topic NAME
"""
import argparse
import sys
import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType


class Admin:
    def __init__(self, args):
        self.client = AdminClient({"bootstrap.servers": args.bootstrap, "log_level": 2})
        self.topic = args.topic
        self.complaints = []

    @staticmethod
    def code(futures):
        """The error code of the only future."""
        (future,) = futures.values()
        try:
            future.result(timeout=30)
            return 0, ""
        except KafkaException as error:
            return error.args[0].code(), error.args[0].str()

    def expect(self, what, wanted, futures):
        code, text = self.code(futures)
        if code != wanted:
            self.complaints.append(f"{what}: {code} ({text}), not {wanted} ({KafkaError(wanted).name()})")
        elif wanted and len(text) < 8:
            self.complaints.append(f"{what}: the message says nothing: {text!r}")

    def create(self, what, wanted, name=None, validate=False, **options):
        topic = NewTopic(name or self.topic + "-refused", **options)
        self.expect(what, wanted, self.client.create_topics([topic], request_timeout=20, validate_only=validate))

    def topics(self):
        return self.client.list_topics(timeout=10).topics

    def run(self):
        name = self.topic
        self.create("a sound topic", 0, name, num_partitions=2, replication_factor=3,
                    config={"retention.ms": "123456", "max.message.bytes": "200000"})
        self.create("the same again", KafkaError.TOPIC_ALREADY_EXISTS, name, num_partitions=2, replication_factor=3)
        for bad in ["..", "a/b", "a b", "x" * 250]:
            self.create(f"the name {bad[:10]!r}", KafkaError.TOPIC_EXCEPTION, bad, num_partitions=1,
                        replication_factor=1)
        self.create("no partitions", KafkaError.INVALID_PARTITIONS, num_partitions=0, replication_factor=3)
        self.create("99,999 partitions", KafkaError.POLICY_VIOLATION, num_partitions=99_999, replication_factor=3)
        self.create("four replicas on three nodes", KafkaError.INVALID_REPLICATION_FACTOR, num_partitions=1,
                    replication_factor=4)
        self.create("an unknown config", KafkaError.INVALID_CONFIG, num_partitions=1, replication_factor=3,
                    config={"no.such.config": "1"})
        self.create("a bad config value", KafkaError.INVALID_CONFIG, num_partitions=1, replication_factor=3,
                    config={"segment.bytes": "-5"})
        self.create("replicas on a node that is not", KafkaError.INVALID_REPLICA_ASSIGNMENT, num_partitions=1,
                    replica_assignment=[[1, 2, 77]])
        self.create("a node twice", KafkaError.INVALID_REPLICA_ASSIGNMENT, num_partitions=1,
                    replica_assignment=[[1, 1, 2]])
        self.create("a question only", 0, validate=True, num_partitions=1, replication_factor=3)
        if set(self.topics()) != {name}:
            self.complaints.append(f"there is more or less than {name}: {sorted(self.topics())}")

        self.create("replicas as given", 0, name + "-placed", num_partitions=1, replica_assignment=[[3, 1]])
        placed = self.topics()[name + "-placed"].partitions[0]
        if sorted(placed.replicas) != [1, 3]:
            self.complaints.append(f"replicas given as 3,1 are {placed.replicas}")

        self.expect("fewer partitions", KafkaError.INVALID_PARTITIONS,
                    self.client.create_partitions([NewPartitions(name, 1)]))
        self.expect("more partitions", 0, self.client.create_partitions([NewPartitions(name, 5)]))
        deadline = time.monotonic() + 10
        while len(self.topics()[name].partitions) != 5 and time.monotonic() < deadline:
            pass
        if len(self.topics()[name].partitions) != 5:
            self.complaints.append(f"there are {len(self.topics()[name].partitions)} partitions, not 5")

        resource = ConfigResource(ResourceType.TOPIC, name)
        (configs,) = [future.result(timeout=20) for future in self.client.describe_configs([resource]).values()]
        for key, value, is_default in [("retention.ms", "123456", False), ("max.message.bytes", "200000", False),
                                       ("min.insync.replicas", "1", True), ("cleanup.policy", "delete", True)]:
            found = configs.get(key)
            if found is None or found.value != value or found.is_default != is_default:
                self.complaints.append(f"{key} is {found and (found.value, found.is_default)}, not {value}")

        self.expect("deleting what is not there", KafkaError.UNKNOWN_TOPIC_OR_PART,
                    self.client.delete_topics([name + "-never"], operation_timeout=10))
        self.expect("deleting", 0, self.client.delete_topics([name], operation_timeout=10))
        deadline = time.monotonic() + 10
        while name in self.topics() and time.monotonic() < deadline:
            pass
        if name in self.topics():
            self.complaints.append("the deleted topic is still listed after 10 s")

        cluster = self.client.describe_cluster(request_timeout=20).result(timeout=30)
        if sorted(node.id for node in cluster.nodes) != [1, 2, 3] or not cluster.cluster_id:
            self.complaints.append(f"the cluster is {cluster.cluster_id!r} {cluster.nodes}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ["bootstrap", "topic"]:
        parser.add_argument("--" + option, required=True)
    admin = Admin(parser.parse_args())
    admin.run()
    if admin.complaints:
        sys.exit("\n".join(admin.complaints))
