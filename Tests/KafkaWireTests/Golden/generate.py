#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the .hex files beside it: one message in every version, as kafka-python (3.0.12 from PyPI) encodes it.

Each line is `request|response|emptyRequest|emptyResponse VERSION HEX`, the hex being a whole frame with its length and
header. The values are those of Samples.swift, by field name; an empty message has every field at the protocol's
default. Run it in a virtual environment that has kafka-python.
"""
import pathlib
import re

import kafka.protocol.api_data
from kafka.protocol.admin import (
    AlterConfigsRequest, AlterConfigsResponse, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteGroupsRequest, DeleteGroupsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeProducersRequest, DescribeProducersResponse,
    DescribeQuorumRequest, DescribeQuorumResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    ElectLeadersRequest, ElectLeadersResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    ListConfigResourcesRequest, ListConfigResourcesResponse, ListGroupsRequest, ListGroupsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse)
from kafka.protocol.api_message import ApiMessage
from kafka.protocol.consumer import (
    FetchRequest, FetchResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, SyncGroupRequest, SyncGroupResponse)
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription
from kafka.protocol.metadata import (
    ApiVersionsRequest, ApiVersionsResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse)
from kafka.protocol.producer import InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse
import uuid

ID = uuid.UUID('01234567-89ab-cdef-1032-547698badcfe')
DIRECTORY = uuid.UUID('00112233-4455-6677-8899-aabbccddeeff')
# Long enough for a length of two bytes in the compact form.
RECORDS = bytes(n % 251 for n in range(200))

# Messages that kafka-python 3.0.12 does not have: KIP-848's, KIP-853's, and Godwit's own. A field is its name, type,
# first version, and `null` where it may be (and then by default is) null, or another default; the fields of a structure
# follow in a list.
PARTITIONS = ['TopicId uuid 0', 'Partitions []int32 0']
NAMED_PARTITIONS = ['TopicPartitions []TopicPartitions 0', ['TopicId uuid 0', 'TopicName string 0',
                                                            'Partitions []int32 0']]
MOVE = ['Topic string 0', 'Partition int32 0', 'Old []int32 0', 'New []int32 0']
SCHEMAS = {
    'ConsumerGroupHeartbeatRequest': (68, '0-1', [
        'GroupId string 0', 'MemberId string 0', 'MemberEpoch int32 0', 'InstanceId string 0 null',
        'RackId string 0 null', 'RebalanceTimeoutMs int32 0 -1', 'SubscribedTopicNames []string 0 null',
        'SubscribedTopicRegex string 1 null', 'ServerAssignor string 0 null',
        'TopicPartitions []TopicPartitions 0 null', PARTITIONS]),
    'ConsumerGroupHeartbeatResponse': (68, '0-1', [
        'ThrottleTimeMs int32 0', 'ErrorCode int16 0', 'ErrorMessage string 0 null', 'MemberId string 0 null',
        'MemberEpoch int32 0', 'HeartbeatIntervalMs int32 0', 'Assignment Assignment 0 null',
        ['TopicPartitions []TopicPartitions 0', PARTITIONS]]),
    'ConsumerGroupDescribeRequest': (69, '0-1', ['GroupIds []string 0', 'IncludeAuthorizedOperations bool 0']),
    'ConsumerGroupDescribeResponse': (69, '0-1', [
        'ThrottleTimeMs int32 0', 'Groups []DescribedGroup 0', [
            'ErrorCode int16 0', 'ErrorMessage string 0 null', 'GroupId string 0', 'GroupState string 0',
            'GroupEpoch int32 0', 'AssignmentEpoch int32 0', 'AssignorName string 0', 'Members []Member 0', [
                'MemberId string 0', 'InstanceId string 0 null', 'RackId string 0 null', 'MemberEpoch int32 0',
                'ClientId string 0', 'ClientHost string 0', 'SubscribedTopicNames []string 0',
                'SubscribedTopicRegex string 0 null', 'Assignment Assignment 0', NAMED_PARTITIONS,
                'TargetAssignment Assignment 0', NAMED_PARTITIONS, 'MemberType int8 1 -1'],
            'AuthorizedOperations int32 0 -2147483648']]),
    'ExplainGroupRequest': (10000, '0', ['GroupIds []string 0']),
    'ExplainGroupResponse': (10000, '0', ['Groups []Group 0', [
        'ErrorCode int16 0', 'ErrorMessage string 0 null', 'GroupId string 0', 'State string 0',
        'ProtocolType string 0', 'Waits []Wait 0', [
            'MemberId string 0', 'ClientId string 0', 'ClientHost string 0', 'Reason string 0',
            'SinceMs int64 0', 'Next string 0', 'DueMs int64 0 -1']]]),
    'AddRaftVoterRequest': (80, '0-1', [
        'ClusterId string 0 null', 'TimeoutMs int32 0', 'VoterId int32 0', 'VoterDirectoryId uuid 0',
        'Listeners []Listener 0', ['Name string 0', 'Host string 0', 'Port uint16 0'],
        'AckWhenCommitted bool 1 true']),
    'AddRaftVoterResponse': (80, '0-1', ['ThrottleTimeMs int32 0', 'ErrorCode int16 0', 'ErrorMessage string 0 null']),
    'RemoveRaftVoterRequest': (81, '0', ['ClusterId string 0 null', 'VoterId int32 0', 'VoterDirectoryId uuid 0']),
    'RemoveRaftVoterResponse': (81, '0', ['ThrottleTimeMs int32 0', 'ErrorCode int16 0', 'ErrorMessage string 0 null']),
    'DescribeMovesRequest': (10001, '0', ['Topics []Topic 0', ['Name string 0', 'Partitions []int32 0']]),
    'DescribeMovesResponse': (10001, '0', ['Moves []Move 0', [
        'Topic string 0', 'Partition int32 0', 'ErrorCode int16 0', 'ErrorMessage string 0 null', 'Phase string 0',
        'Reason string 0', 'SinceMs int64 0 -1', 'LogBytes int64 0', 'Voters []int32 0', 'Outgoing []int32 0',
        'Replicas []Replica 0', ['Id int32 0', 'Match int64 0', 'Start int64 0', 'End int64 0']]]),
    'BalanceClusterRequest': (10002, '0', ['Action int8 0', 'NodeId int32 0 -1', 'ValidateOnly bool 0 true']),
    'BalanceClusterResponse': (10002, '0', [
        'ErrorCode int16 0', 'ErrorMessage string 0 null', 'IsRebalancing bool 0', 'MovingCount int32 0',
        'PlannedCount int32 0', 'Planned []Move 0', MOVE, 'Stuck []Move 0', MOVE, 'Nodes []Node 0', [
            'Id int32 0', 'IsDraining bool 0', 'IsVoter bool 0', 'Replicas int32 0', 'Leaders int32 0',
            'Gaining int32 0', 'Losing int32 0']]),
}


def schema_fields(described):
    fields = []
    for part in described:
        if isinstance(part, list):
            fields[-1]['fields'] = schema_fields(part)
            continue
        name, kind, since, *default = part.split()
        field = {'name': name, 'type': kind, 'versions': f'{since}+'}
        if default:
            field['default'] = default[0]
            if default[0] == 'null':
                field['nullableVersions'] = f'{since}+'
        fields.append(field)
    return fields


def load_schema(name, package=None):
    if name not in SCHEMAS:
        return bundled_schema(name, package=package)
    key, versions, fields = SCHEMAS[name]
    return {'apiKey': key, 'type': 'request' if name.endswith('Request') else 'response', 'name': name,
            'validVersions': versions, 'flexibleVersions': '0+', 'fields': schema_fields(fields)}


bundled_schema = kafka.protocol.api_data.load_json
kafka.protocol.api_data.load_json = load_schema


class ConsumerGroupHeartbeatRequest(ApiMessage): pass
class ConsumerGroupHeartbeatResponse(ApiMessage): pass
class ConsumerGroupDescribeRequest(ApiMessage): pass
class ConsumerGroupDescribeResponse(ApiMessage): pass
class ExplainGroupRequest(ApiMessage): pass
class ExplainGroupResponse(ApiMessage): pass
class AddRaftVoterRequest(ApiMessage): pass
class AddRaftVoterResponse(ApiMessage): pass
class RemoveRaftVoterRequest(ApiMessage): pass
class RemoveRaftVoterResponse(ApiMessage): pass
class DescribeMovesRequest(ApiMessage): pass
class DescribeMovesResponse(ApiMessage): pass
class BalanceClusterRequest(ApiMessage): pass
class BalanceClusterResponse(ApiMessage): pass


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
FETCHED = [
    dict(partition_index=2, committed_offset=1 << 33, committed_leader_epoch=23, metadata='note', error_code=0),
    dict(partition_index=3, committed_offset=-1, committed_leader_epoch=-1, metadata=None, error_code=88)]

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
    'ListOffsets': (1, 11, (ListOffsetsRequest, dict(
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
    'JoinGroup': (0, 9, (JoinGroupRequest, dict(
        group_id='group', session_timeout_ms=45000, rebalance_timeout_ms=300000, member_id='member-1',
        group_instance_id='static-1', protocol_type='consumer', reason='new',
        protocols=[dict(name='range', metadata=RECORDS), dict(name='sticky', metadata=b'')])),
        (JoinGroupResponse, dict(
            throttle_time_ms=23, error_code=79, generation_id=4, protocol_type='consumer', protocol_name='range',
            leader='member-1', skip_assignment=True, member_id='member-2', members=[
                dict(member_id='member-1', group_instance_id='static-1', metadata=RECORDS),
                dict(member_id='member-2', group_instance_id=None, metadata=b'')]))),
    'SyncGroup': (0, 5, (SyncGroupRequest, dict(
        group_id='group', generation_id=4, member_id='member-1', group_instance_id='static-1',
        protocol_type='consumer', protocol_name='range',
        assignments=[dict(member_id='member-1', assignment=RECORDS), dict(member_id='member-2', assignment=b'')])),
        (SyncGroupResponse, dict(
            throttle_time_ms=24, error_code=27, protocol_type='consumer', protocol_name='range',
            assignment=RECORDS))),
    'Heartbeat': (0, 4, (HeartbeatRequest, dict(
        group_id='group', generation_id=4, member_id='member-1', group_instance_id='static-1')),
        (HeartbeatResponse, dict(throttle_time_ms=25, error_code=22))),
    'LeaveGroup': (0, 5, (LeaveGroupRequest, dict(
        group_id='group', member_id='member-1',
        members=[dict(member_id='member-1', group_instance_id='static-1', reason='closed')])),
        (LeaveGroupResponse, dict(
            throttle_time_ms=26, error_code=25, members=[
                dict(member_id='member-1', group_instance_id='static-1', error_code=82),
                dict(member_id='member-2', group_instance_id=None, error_code=0)]))),
    'OffsetCommit': (2, 10, (OffsetCommitRequest, dict(
        group_id='group', generation_id_or_member_epoch=4, member_id='member-1', group_instance_id='static-1',
        retention_time_ms=60000, topics=[dict(name='events', topic_id=ID, partitions=[
            dict(partition_index=2, committed_offset=1 << 33, committed_leader_epoch=23, committed_metadata='note'),
            dict(partition_index=3, committed_offset=7, committed_leader_epoch=-1, committed_metadata=None)])])),
        (OffsetCommitResponse, dict(
            throttle_time_ms=27, topics=[dict(name='events', topic_id=ID, partitions=[
                dict(partition_index=2, error_code=12), dict(partition_index=3, error_code=0)])]))),
    'OffsetFetch': (1, 10, (OffsetFetchRequest, dict(
        group_id='group', topics=[dict(name='events', partition_indexes=[2, 3])], require_stable=True,
        groups=[dict(group_id='group', member_id='member-1', member_epoch=5, topics=[
            dict(name='events', topic_id=ID, partition_indexes=[2, 3])])])),
        (OffsetFetchResponse, dict(
            throttle_time_ms=28, error_code=14, topics=[dict(name='events', partitions=FETCHED)],
            groups=[dict(group_id='group', error_code=14, topics=[
                dict(name='events', topic_id=ID, partitions=FETCHED)])]))),
    'ListGroups': (0, 5, (ListGroupsRequest, dict(states_filter=['Stable', 'Empty'], types_filter=['consumer'])),
        (ListGroupsResponse, dict(throttle_time_ms=29, error_code=14, groups=[
            dict(group_id='group', protocol_type='consumer', group_state='Stable', group_type='classic')]))),
    'DescribeGroups': (0, 6, (DescribeGroupsRequest, dict(
        groups=['group', 'other'], include_authorized_operations=True)),
        (DescribeGroupsResponse, dict(throttle_time_ms=30, groups=[dict(
            error_code=69, error_message='gone', group_id='group', group_state='Stable', protocol_type='consumer',
            protocol_data='range', authorized_operations={3, 8}, members=[
                dict(member_id='member-1', group_instance_id='static-1', client_id='app', client_host='/10.0.0.1',
                     member_metadata=RECORDS, member_assignment=b'abc'),
                dict(member_id='member-2', group_instance_id=None, client_id='app', client_host='/10.0.0.2',
                     member_metadata=b'', member_assignment=b'')])]))),
    'DeleteGroups': (0, 2, (DeleteGroupsRequest, dict(groups_names=['group', 'other'])),
        (DeleteGroupsResponse, dict(throttle_time_ms=31, results=[
            dict(group_id='group', error_code=68), dict(group_id='other', error_code=0)]))),
    'OffsetDelete': (0, 0, (OffsetDeleteRequest, dict(
        group_id='group', topics=[dict(name='events', partitions=[dict(partition_index=2)])])),
        (OffsetDeleteResponse, dict(error_code=16, throttle_time_ms=32, topics=[
            dict(name='events', partitions=[dict(partition_index=2, error_code=86)])]))),
    'ConsumerGroupHeartbeat': (0, 1, (ConsumerGroupHeartbeatRequest, dict(
        group_id='group', member_id='member-1', member_epoch=5, instance_id='static-1', rack_id='a',
        rebalance_timeout_ms=300000, subscribed_topic_names=['events'], subscribed_topic_regex='ev.*',
        server_assignor='uniform', topic_partitions=[dict(topic_id=ID, partitions=[2, 3])])),
        (ConsumerGroupHeartbeatResponse, dict(
            throttle_time_ms=33, error_code=110, error_message='old', member_id='member-1', member_epoch=5,
            heartbeat_interval_ms=5000,
            assignment=dict(topic_partitions=[dict(topic_id=ID, partitions=[2, 3])])))),
    'ConsumerGroupDescribe': (0, 1, (ConsumerGroupDescribeRequest, dict(
        group_ids=['group', 'other'], include_authorized_operations=True)),
        (ConsumerGroupDescribeResponse, dict(throttle_time_ms=34, groups=[dict(
            error_code=69, error_message='gone', group_id='group', group_state='Reconciling', group_epoch=7,
            assignment_epoch=6, assignor_name='uniform', authorized_operations=264, members=[dict(
                member_id='member-1', instance_id='static-1', rack_id='a', member_epoch=5, client_id='app',
                client_host='/10.0.0.1', subscribed_topic_names=['events'], subscribed_topic_regex='ev.*',
                assignment=dict(topic_partitions=[dict(topic_id=ID, topic_name='events', partitions=[2, 3])]),
                target_assignment=dict(topic_partitions=[dict(topic_id=ID, topic_name='events', partitions=[2])]),
                member_type=1)])]))),
    'InitProducerId': (0, 5, (InitProducerIdRequest, dict(
        transactional_id='txn', transaction_timeout_ms=60000, producer_id=1 << 34, producer_epoch=6)),
        (InitProducerIdResponse, dict(
            throttle_time_ms=35, error_code=47, producer_id=1 << 34, producer_epoch=7))),
    'DescribeProducers': (0, 0, (DescribeProducersRequest, dict(
        topics=[dict(name='events', partition_indexes=[2, 3])])),
        (DescribeProducersResponse, dict(throttle_time_ms=36, topics=[dict(name='events', partitions=[dict(
            partition_index=2, error_code=6, error_message='moved', active_producers=[dict(
                producer_id=1 << 34, producer_epoch=7, last_sequence=41, last_timestamp=1700000000000,
                coordinator_epoch=3, current_txn_start_offset=99)])])]))),
    'DeleteRecords': (0, 2, (DeleteRecordsRequest, dict(
        topics=[dict(name='events', partitions=[dict(partition_index=2, offset=1 << 33)])], timeout_ms=30000)),
        (DeleteRecordsResponse, dict(throttle_time_ms=37, topics=[dict(name='events', partitions=[
            dict(partition_index=2, low_watermark=1 << 33, error_code=1)])]))),
    'IncrementalAlterConfigs': (0, 1, (IncrementalAlterConfigsRequest, dict(
        resources=[dict(resource_type=2, resource_name='events', configs=[
            dict(name='cleanup.policy', config_operation=2, value='compact'),
            dict(name='retention.ms', config_operation=1, value=None)])], validate_only=True)),
        (IncrementalAlterConfigsResponse, dict(throttle_time_ms=38, responses=[
            dict(error_code=40, error_message='odd', resource_type=2, resource_name='events'),
            dict(error_code=0, error_message=None, resource_type=4, resource_name='1')]))),
    'AlterConfigs': (0, 2, (AlterConfigsRequest, dict(
        resources=[dict(resource_type=2, resource_name='events', configs=[
            dict(name='cleanup.policy', value='compact'), dict(name='retention.ms', value=None)])],
        validate_only=True)),
        (AlterConfigsResponse, dict(throttle_time_ms=39, responses=[
            dict(error_code=40, error_message='odd', resource_type=2, resource_name='events'),
            dict(error_code=0, error_message=None, resource_type=4, resource_name='1')]))),
    'DescribeLogDirs': (1, 4, (DescribeLogDirsRequest, dict(
        topics=[dict(topic='events', partitions=[2, 3])])),
        (DescribeLogDirsResponse, dict(throttle_time_ms=40, error_code=31, results=[dict(
            error_code=56, log_dir='/data', total_bytes=1 << 40, usable_bytes=1 << 39, topics=[
                dict(name='events', partitions=[dict(
                    partition_index=2, partition_size=1 << 33, offset_lag=9, is_future_key=True)])])]))),
    'DescribeTopicPartitions': (0, 0, (DescribeTopicPartitionsRequest, dict(
        topics=[dict(name='events')], response_partition_limit=100,
        cursor=dict(topic_name='events', partition_index=2))),
        (DescribeTopicPartitionsResponse, dict(
            throttle_time_ms=41, next_cursor=dict(topic_name='other', partition_index=3), topics=[dict(
                error_code=3, name='events', topic_id=ID, is_internal=True, topic_authorized_operations=264,
                partitions=[dict(
                    error_code=9, partition_index=2, leader_id=1, leader_epoch=4, replica_nodes=[1, 2, 3],
                    isr_nodes=[1, 2], eligible_leader_replicas=[2], last_known_elr=[3], offline_replicas=[3]),
                            dict(
                    error_code=0, partition_index=3, leader_id=2, leader_epoch=5, replica_nodes=[],
                    isr_nodes=[], eligible_leader_replicas=None, last_known_elr=None, offline_replicas=[])])]))),
    'ListConfigResources': (0, 1, (ListConfigResourcesRequest, dict(resource_types=[2, 32])),
        (ListConfigResourcesResponse, dict(throttle_time_ms=42, error_code=31, config_resources=[
            dict(resource_name='events', resource_type=2)]))),
    'ExplainGroup': (0, 0, (ExplainGroupRequest, dict(group_ids=['group', 'other'])),
        (ExplainGroupResponse, dict(groups=[dict(
            error_code=14, error_message='loading', group_id='group', state='PreparingRebalance',
            protocol_type='consumer', waits=[dict(
                member_id='member-1', client_id='app', client_host='/10.0.0.1', reason='It has not joined again.',
                since_ms=4000, next='It is taken out.', due_ms=296000)])]))),
    'AlterPartitionReassignments': (0, 1, (AlterPartitionReassignmentsRequest, dict(
        timeout_ms=30000, allow_replication_factor_change=False, topics=[dict(name='events', partitions=[
            dict(partition_index=2, replicas=[4, 2, 3]), dict(partition_index=3, replicas=None)])])),
        (AlterPartitionReassignmentsResponse, dict(
            throttle_time_ms=43, allow_replication_factor_change=False, error_code=41, error_message='gone',
            responses=[dict(name='events', partitions=[
                dict(partition_index=2, error_code=39, error_message='twice'),
                dict(partition_index=3, error_code=0, error_message=None)])]))),
    'ListPartitionReassignments': (0, 0, (ListPartitionReassignmentsRequest, dict(
        timeout_ms=30000, topics=[dict(name='events', partition_indexes=[2, 3])])),
        (ListPartitionReassignmentsResponse, dict(
            throttle_time_ms=44, error_code=41, error_message='gone', topics=[dict(name='events', partitions=[dict(
                partition_index=2, replicas=[4, 2, 3, 1], adding_replicas=[4], removing_replicas=[1])])]))),
    'ElectLeaders': (0, 2, (ElectLeadersRequest, dict(
        election_type=1, topic_partitions=[dict(topic='events', partitions=[2, 3])], timeout_ms=30000)),
        (ElectLeadersResponse, dict(
            throttle_time_ms=45, error_code=31, replica_election_results=[dict(topic='events', partition_result=[
                dict(partition_id=2, error_code=84, error_message='leads'),
                dict(partition_id=3, error_code=0, error_message=None)])]))),
    'DescribeQuorum': (0, 2, (DescribeQuorumRequest, dict(
        topics=[dict(topic_name='__cluster_metadata', partitions=[dict(partition_index=0)])])),
        (DescribeQuorumResponse, dict(
            error_code=31, error_message='no', topics=[dict(topic_name='__cluster_metadata', partitions=[dict(
                partition_index=0, error_code=6, error_message='moved', leader_id=1, leader_epoch=7,
                high_watermark=1 << 33,
                current_voters=[dict(
                    replica_id=1, replica_directory_id=DIRECTORY, log_end_offset=1 << 34,
                    last_fetch_timestamp=1700000000000, last_caught_up_timestamp=1700000000001)],
                observers=[dict(
                    replica_id=4, replica_directory_id=ID, log_end_offset=9, last_fetch_timestamp=-1,
                    last_caught_up_timestamp=-1)])])],
            nodes=[dict(node_id=1, listeners=[dict(name='CONTROLLER', host='h1', port=59092)])]))),
    'AddRaftVoter': (0, 1, (AddRaftVoterRequest, dict(
        cluster_id='cluster-1', timeout_ms=30000, voter_id=4, voter_directory_id=DIRECTORY,
        listeners=[dict(name='CONTROLLER', host='h4', port=59092)], ack_when_committed=False)),
        (AddRaftVoterResponse, dict(throttle_time_ms=46, error_code=126, error_message='it votes'))),
    'RemoveRaftVoter': (0, 0, (RemoveRaftVoterRequest, dict(
        cluster_id='cluster-1', voter_id=4, voter_directory_id=DIRECTORY)),
        (RemoveRaftVoterResponse, dict(throttle_time_ms=47, error_code=127, error_message='it votes not'))),
    'DescribeMoves': (0, 0, (DescribeMovesRequest, dict(topics=[dict(name='events', partitions=[2, 3])])),
        (DescribeMovesResponse, dict(moves=[dict(
            topic='events', partition=2, error_code=6, error_message='moved', phase='catching up',
            reason='It copies.', since_ms=4000, log_bytes=1 << 33, voters=[1, 2, 3], outgoing=[4],
            replicas=[dict(id=4, match=1 << 33, start=5, end=1 << 34)])]))),
    'BalanceCluster': (0, 0, (BalanceClusterRequest, dict(action=3, node_id=4, validate_only=False)),
        (BalanceClusterResponse, dict(
            error_code=41, error_message='gone', is_rebalancing=True, moving_count=5, planned_count=6,
            planned=[dict(topic='events', partition=2, old=[1, 2, 3], new=[4, 2, 3])],
            stuck=[dict(topic='events', partition=3, old=[1, 2], new=[])],
            nodes=[dict(id=4, is_draining=True, is_voter=True, replicas=7, leaders=3, gaining=2, losing=1)]))),
}

# The protocol has an empty text as default where Swift has none, and one group or member beside the list of them in
# old versions.
EMPTY = {
    FindCoordinatorResponse: dict(error_message=None),
    JoinGroupResponse: lambda version: dict(protocol_name=None if version >= 7 else ''),
    InitProducerIdRequest: dict(transactional_id=None),
    AlterPartitionReassignmentsResponse: dict(error_message=None),
    ListPartitionReassignmentsResponse: dict(error_message=None),
    DescribeQuorumResponse: dict(error_message=None),
}

here = pathlib.Path(__file__).parent
for api, (first, last, request, response) in MESSAGES.items():
    lines = []
    for kind, (cls, values) in (('request', request), ('response', response),
                                ('emptyRequest', (request[0], EMPTY.get(request[0], {}))),
                                ('emptyResponse', (response[0], EMPTY.get(response[0], {})))):
        for version in range(first, last + 1):
            message = build(cls, values(version) if callable(values) else values)
            message.API_VERSION = version
            message.with_header(**({'correlation_id': 7, 'client_id': 'godwit'} if 'equest' in kind
                                   else {'correlation_id': 7}))
            encoded = message.encode(header=True, framed=True)
            lines.append(f'{kind} {version} {bytes(encoded).hex()}\n')
    (here / f'{api}.hex').write_text(''.join(lines))

OWNED = [dict(topic='events', partitions=[2, 3])]
for cls, values in ((ConsumerProtocolSubscription, dict(
        topics=['events', 'other'], user_data=RECORDS, owned_partitions=OWNED, generation_id=4, rack_id='a')),
        (ConsumerProtocolAssignment, dict(assigned_partitions=OWNED, user_data=RECORDS))):
    lines = []
    for version in range(4):
        message = build(cls, values)
        message._version = version
        lines.append(f'data {version} {bytes(message.encode(version=version)).hex()}\n')
    (here / f'{cls.__name__}.hex').write_text(''.join(lines))
