#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the .hex files beside it: one message in every version, as kafka-python (3.0.12 from PyPI) encodes it.

Each line is `request|response|emptyRequest|emptyResponse VERSION HEX`, the hex being a whole frame with its length and
header. The values are those of Samples.swift, by field name; an empty message has every field at the protocol's
default. Run it in a virtual environment that has kafka-python.
"""
import pathlib
import re

from kafka.protocol.admin import (
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeConfigsRequest, DescribeConfigsResponse)
from kafka.protocol.consumer import (
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse)
from kafka.protocol.metadata import (
    ApiVersionsRequest, ApiVersionsResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse)
from kafka.protocol.producer import ProduceRequest, ProduceResponse
import uuid

ID = uuid.UUID('01234567-89ab-cdef-1032-547698badcfe')
DIRECTORY = uuid.UUID('00112233-4455-6677-8899-aabbccddeeff')
# Long enough for a length of two bytes in the compact form.
RECORDS = bytes(n % 251 for n in range(200))


def build(cls, values):
    """A message or nested structure from plain values, by the schema's own field names."""
    fields = cls._struct.fields
    out = {}
    for name, value in values.items():
        field = fields[name]
        if field.is_struct_array() and value is not None:
            value = [build(field.data_class, v) for v in value]
        elif field.is_struct():
            value = build(field.data_class, value)
        out[name] = value
    return cls(**out)


LEADER = dict(leader_id=31, leader_epoch=32)
ENDPOINTS = [dict(node_id=41, host='h41', port=9041, rack='r41'), dict(node_id=42, host='h42', port=9042, rack=None)]

MESSAGES = {
    'ApiVersions': (0, 4, (ApiVersionsRequest, dict(
        client_software_name='godwit-test', client_software_version='1.2.3')),
        (ApiVersionsResponse, dict(
            error_code=0, throttle_time_ms=11,
            api_keys=[dict(api_key=0, min_version=0, max_version=13), dict(api_key=18, min_version=0, max_version=4)],
            supported_features=[dict(name='metadata.version', min_version=1, max_version=30)],
            finalized_features_epoch=77,
            finalized_features=[dict(name='metadata.version', max_version_level=29, min_version_level=2)],
            zk_migration_ready=True))),
    'Metadata': (0, 13, (MetadataRequest, dict(
        topics=[dict(topic_id=ID, name='events')], allow_auto_topic_creation=False,
        include_cluster_authorized_operations=True, include_topic_authorized_operations=True)),
        (MetadataResponse, dict(
            throttle_time_ms=12, cluster_id='cluster-1', controller_id=3, authorized_operations={3, 8},
            error_code=5,
            brokers=[dict(node_id=1, host='h1', port=9092, rack='a'), dict(node_id=2, host='h2', port=9093, rack=None)],
            topics=[dict(
                error_code=3, name='events', topic_id=ID, is_internal=True,
                authorized_operations={3, 4, 5, 6, 7, 8, 10, 11},
                partitions=[dict(
                    error_code=9, partition_index=6, leader_id=1, leader_epoch=4, replica_nodes=[1, 2, 3],
                    isr_nodes=[1, 2], offline_replicas=[3])])]))),
    'Produce': (3, 13, (ProduceRequest, dict(
        transactional_id='txn', acks=-1, timeout_ms=30000,
        topic_data=[dict(name='events', topic_id=ID, partition_data=[
            dict(index=2, records=RECORDS), dict(index=3, records=None)])])),
        (ProduceResponse, dict(
            throttle_time_ms=13, node_endpoints=ENDPOINTS,
            responses=[dict(name='events', topic_id=ID, partition_responses=[
                dict(index=2, error_code=0, base_offset=1 << 40, log_append_time_ms=1700000000000,
                     log_start_offset=5),
                dict(index=3, error_code=6, base_offset=-1, log_append_time_ms=-1, log_start_offset=-1,
                     record_errors=[dict(batch_index=8, batch_index_error_message='bad')], error_message='moved',
                     current_leader=LEADER)])]))),
    'Fetch': (4, 17, (FetchRequest, dict(
        cluster_id='cluster-1', replica_id=7, replica_state=dict(replica_id=8, replica_epoch=9), max_wait_ms=500,
        min_bytes=1, max_bytes=52428800, isolation_level=1, session_id=21, session_epoch=22, rack_id='a',
        topics=[dict(topic='events', topic_id=ID, partitions=[
            dict(partition=2, current_leader_epoch=23, fetch_offset=1 << 33, last_fetched_epoch=24,
                 log_start_offset=25, partition_max_bytes=1048576, replica_directory_id=DIRECTORY)])],
        forgotten_topics_data=[dict(topic='old', topic_id=DIRECTORY, partitions=[4, 5])])),
        (FetchResponse, dict(
            throttle_time_ms=14, error_code=71, session_id=21, node_endpoints=ENDPOINTS,
            responses=[dict(topic='events', topic_id=ID, partitions=[
                dict(partition_index=2, error_code=0, high_watermark=100, last_stable_offset=99, log_start_offset=1,
                     aborted_transactions=[dict(producer_id=61, first_offset=62)], preferred_read_replica=2,
                     records=RECORDS),
                dict(partition_index=3, error_code=6, high_watermark=-1, last_stable_offset=-1, log_start_offset=-1,
                     diverging_epoch=dict(epoch=51, end_offset=52), current_leader=LEADER,
                     snapshot_id=dict(end_offset=53, epoch=54), aborted_transactions=None,
                     preferred_read_replica=-1, records=None)])]))),
    'ListOffsets': (1, 10, (ListOffsetsRequest, dict(
        replica_id=-1, isolation_level=1, timeout_ms=1500,
        topics=[dict(name='events', partitions=[
            dict(partition_index=2, current_leader_epoch=23, timestamp=-2)])])),
        (ListOffsetsResponse, dict(
            throttle_time_ms=15,
            topics=[dict(name='events', partitions=[
                dict(partition_index=2, error_code=74, timestamp=1700000000000, offset=1234, leader_epoch=23)])]))),
    'CreateTopics': (2, 7, (CreateTopicsRequest, dict(
        timeout_ms=30000, validate_only=True,
        topics=[dict(name='events', num_partitions=6, replication_factor=3,
                     assignments=[dict(partition_index=0, broker_ids=[1, 2, 3])],
                     configs=[dict(name='retention.ms', value='1000'), dict(name='cleanup.policy', value=None)])])),
        (CreateTopicsResponse, dict(
            throttle_time_ms=16,
            topics=[dict(name='events', topic_id=ID, error_code=36, error_message='exists',
                         topic_config_error_code=29, num_partitions=6, replication_factor=3,
                         configs=[dict(name='retention.ms', value='1000', read_only=True, config_source=1,
                                       is_sensitive=True)]),
                    dict(name='other', topic_id=DIRECTORY, error_code=0, error_message=None, num_partitions=1,
                         replication_factor=1, configs=None)]))),
    'DeleteTopics': (1, 6, (DeleteTopicsRequest, dict(
        topics=[dict(name='events', topic_id=ID), dict(name=None, topic_id=DIRECTORY)],
        topic_names=['events', 'other'], timeout_ms=30000)),
        (DeleteTopicsResponse, dict(
            throttle_time_ms=17,
            responses=[dict(name='events', topic_id=ID, error_code=3, error_message='unknown')]))),
    'CreatePartitions': (0, 3, (CreatePartitionsRequest, dict(
        timeout_ms=30000, validate_only=True,
        topics=[dict(name='events', count=9, assignments=[dict(broker_ids=[1, 2])]),
                dict(name='other', count=2, assignments=None)])),
        (CreatePartitionsResponse, dict(
            throttle_time_ms=18,
            results=[dict(name='events', error_code=37, error_message='fewer'),
                     dict(name='other', error_code=0, error_message=None)]))),
    'DescribeConfigs': (1, 4, (DescribeConfigsRequest, dict(
        include_synonyms=True, include_documentation=True,
        resources=[dict(resource_type=2, resource_name='events', configuration_keys=['retention.ms']),
                   dict(resource_type=4, resource_name='1', configuration_keys=None)])),
        (DescribeConfigsResponse, dict(
            throttle_time_ms=19,
            results=[dict(error_code=40, error_message='odd', resource_type=2, resource_name='events', configs=[
                dict(name='retention.ms', value='1000', read_only=True, config_source=1, is_sensitive=False,
                     synonyms=[dict(name='log.retention.ms', value='2000', source=4)], config_type=5,
                     documentation='How long.'),
                dict(name='password', value=None, read_only=False, config_source=5, is_sensitive=True,
                     synonyms=[], config_type=9, documentation=None)])]))),
    'DescribeCluster': (0, 2, (DescribeClusterRequest, dict(
        include_cluster_authorized_operations=True, endpoint_type=2, include_fenced_brokers=True)),
        (DescribeClusterResponse, dict(
            throttle_time_ms=20, error_code=31, error_message='no', endpoint_type=2, cluster_id='cluster-1',
            controller_id=3, authorized_operations={3, 8},
            brokers=[dict(broker_id=1, host='h1', port=9092, rack='a', is_fenced=True),
                     dict(broker_id=2, host='h2', port=9093, rack=None, is_fenced=False)]))),
    'OffsetForLeaderEpoch': (2, 4, (OffsetForLeaderEpochRequest, dict(
        replica_id=-1,
        topics=[dict(topic='events', partitions=[dict(partition=2, current_leader_epoch=23, leader_epoch=22)])])),
        (OffsetForLeaderEpochResponse, dict(
            throttle_time_ms=21,
            topics=[dict(topic='events', partitions=[
                dict(error_code=74, partition=2, leader_epoch=22, end_offset=1234)])]))),
    'FindCoordinator': (0, 6, (FindCoordinatorRequest, dict(
        key='group', key_type=1, coordinator_keys=['group', 'other'])),
        (FindCoordinatorResponse, dict(
            throttle_time_ms=22, error_code=15, error_message='none', node_id=1, host='h1', port=9092,
            coordinators=[dict(key='group', node_id=2, host='h2', port=9093, error_code=16, error_message=None)]))),
}

# The protocol has an empty text as default where Swift has none.
EMPTY = {FindCoordinatorResponse: dict(error_message=None)}

here = pathlib.Path(__file__).parent
for api, (first, last, request, response) in MESSAGES.items():
    lines = []
    for kind, (cls, values) in (('request', request), ('response', response),
                                ('emptyRequest', (request[0], EMPTY.get(request[0], {}))),
                                ('emptyResponse', (response[0], EMPTY.get(response[0], {})))):
        for version in range(first, last + 1):
            message = build(cls, values)
            message.API_VERSION = version
            message.with_header(**({'correlation_id': 7, 'client_id': 'godwit'} if 'equest' in kind
                                   else {'correlation_id': 7}))
            encoded = message.encode(header=True, framed=True)
            lines.append(f'{kind} {version} {bytes(encoded).hex()}\n')
    (here / f'{api}.hex').write_text(''.join(lines))
