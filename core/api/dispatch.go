package api

import (
	"fmt"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// handlerTable is what answers each API key; nil: not served yet.
func handlerTable() []func(*call) {
	return []func(*call){
		kmsg.Produce:                      (*call).produce,
		kmsg.Fetch:                        (*call).fetch,
		kmsg.ListOffsets:                  (*call).listOffsets,
		kmsg.Metadata:                     (*call).metadata,
		kmsg.OffsetCommit:                 (*call).offsetCommit,
		kmsg.OffsetFetch:                  (*call).offsetFetch,
		kmsg.FindCoordinator:              (*call).findCoordinator,
		kmsg.JoinGroup:                    (*call).joinGroup,
		kmsg.Heartbeat:                    (*call).heartbeat,
		kmsg.LeaveGroup:                   (*call).leaveGroup,
		kmsg.SyncGroup:                    (*call).syncGroup,
		kmsg.DescribeGroups:               (*call).describeGroups,
		kmsg.ListGroups:                   (*call).listGroups,
		kmsg.SASLHandshake:                (*call).saslHandshake,
		kmsg.ApiVersions:                  (*call).apiVersions,
		kmsg.CreateTopics:                 (*call).createTopics,
		kmsg.DeleteTopics:                 (*call).deleteTopics,
		kmsg.DeleteRecords:                (*call).deleteRecords,
		kmsg.InitProducerID:               (*call).initProducerID,
		kmsg.OffsetForLeaderEpoch:         (*call).offsetForLeaderEpoch,
		kmsg.AddPartitionsToTxn:           (*call).addPartitionsToTxn,
		kmsg.AddOffsetsToTxn:              (*call).addOffsetsToTxn,
		kmsg.EndTxn:                       (*call).endTxn,
		kmsg.WriteTxnMarkers:              (*call).writeTxnMarkers,
		kmsg.TxnOffsetCommit:              (*call).txnOffsetCommit,
		kmsg.DescribeACLs:                 (*call).describeAcls,
		kmsg.CreateACLs:                   (*call).createAcls,
		kmsg.DeleteACLs:                   (*call).deleteAcls,
		kmsg.DescribeConfigs:              (*call).describeConfigs,
		kmsg.AlterConfigs:                 (*call).alterConfigs,
		kmsg.AlterReplicaLogDirs:          (*call).alterReplicaLogDirs,
		kmsg.DescribeLogDirs:              (*call).describeLogDirs,
		kmsg.SASLAuthenticate:             (*call).saslAuthenticate,
		kmsg.CreatePartitions:             (*call).createPartitions,
		kmsg.CreateDelegationToken:        (*call).createDelegationToken,
		kmsg.RenewDelegationToken:         (*call).renewDelegationToken,
		kmsg.ExpireDelegationToken:        (*call).expireDelegationToken,
		kmsg.DescribeDelegationToken:      (*call).describeDelegationToken,
		kmsg.DeleteGroups:                 (*call).deleteGroups,
		kmsg.ElectLeaders:                 (*call).electLeaders,
		kmsg.IncrementalAlterConfigs:      (*call).incrementalAlterConfigs,
		kmsg.AlterPartitionAssignments:    (*call).alterPartitionReassignments,
		kmsg.ListPartitionReassignments:   (*call).listPartitionReassignments,
		kmsg.OffsetDelete:                 (*call).offsetDelete,
		kmsg.DescribeClientQuotas:         (*call).describeClientQuotas,
		kmsg.AlterClientQuotas:            (*call).alterClientQuotas,
		kmsg.DescribeUserSCRAMCredentials: (*call).describeUserScramCredentials,
		kmsg.AlterUserSCRAMCredentials:    (*call).alterUserScramCredentials,
		kmsg.Vote:                         (*call).vote,
		kmsg.BeginQuorumEpoch:             (*call).beginQuorumEpoch,
		kmsg.EndQuorumEpoch:               (*call).endQuorumEpoch,
		kmsg.DescribeQuorum:               (*call).describeQuorum,
		kmsg.AlterPartition:               (*call).alterPartition,
		kmsg.UpdateFeatures:               (*call).updateFeatures,
		kmsg.Envelope:                     (*call).envelope,
		kmsg.FetchSnapshot:                (*call).fetchSnapshot,
		kmsg.DescribeCluster:              (*call).describeCluster,
		kmsg.DescribeProducers:            (*call).describeProducers,
		kmsg.BrokerRegistration:           (*call).brokerRegistration,
		kmsg.BrokerHeartbeat:              (*call).brokerHeartbeat,
		kmsg.UnregisterBroker:             (*call).unregisterBroker,
		kmsg.DescribeTransactions:         (*call).describeTransactions,
		kmsg.ListTransactions:             (*call).listTransactions,
		kmsg.AllocateProducerIDs:          (*call).allocateProducerIDs,
		kmsg.ConsumerGroupHeartbeat:       (*call).consumerGroupHeartbeat,
		kmsg.ConsumerGroupDescribe:        (*call).consumerGroupDescribe,
		kmsg.GetTelemetrySubscriptions:    (*call).getTelemetrySubscriptions,
		kmsg.PushTelemetry:                (*call).pushTelemetry,
		kmsg.AssignReplicasToDirs:         (*call).assignReplicasToDirs,
		kmsg.ListConfigResources:          (*call).listConfigResources,
		kmsg.DescribeTopicPartitions:      (*call).describeTopicPartitions,
		kmsg.AddRaftVoter:                 (*call).addRaftVoter,
		kmsg.RemoveRaftVoter:              (*call).removeRaftVoter,
		kmsg.UpdateRaftVoter:              (*call).updateRaftVoter,
	}
}

// served reports whether this server answers an API on the listener of that side.
func (s *Server) served(a wire.API, controllerSide bool) bool {
	onListener := a.Broker && !controllerSide || a.Controller && controllerSide
	return onListener && int(a.Key) < len(s.handlers) && s.handlers[a.Key] != nil
}

// dispatch hands a request to its handler, if this listener serves it.
func (k *call) dispatch() {
	key := k.req.Key
	a, known := wire.Lookup(key)
	if !known || !k.server.served(a, k.controllerSide) {
		k.server.badRequest(fmt.Sprintf("%s is not served on listener %s", a.Name, k.listener))
		k.disconnect()
		return
	}
	k.server.handlers[key](k)
}
