package wire

import "strconv"

// API is one API key and the versions of it that this broker decodes.
//
// Min of Produce is 3; ApiVersions must report 0 all the same (KAFKA-18659).
type API struct {
	Key, Min, Max      int16
	Broker, Controller bool // which listeners serve it
	Name               string
	flexible           int16 // the first version with compact lengths and tags (KIP-482)
}

// never is the first flexible version of an API that has none.
const never = 1<<15 - 1

// APIs is Kafka 4.3's protocol, sorted by key. What a broker advertises of it is the api package's
// matter. Read only.
var APIs = []API{
	{Key: 0, Min: 3, Max: 13, Broker: true, Controller: false, Name: "Produce", flexible: 9},
	{Key: 1, Min: 4, Max: 18, Broker: true, Controller: true, Name: "Fetch", flexible: 12},
	{Key: 2, Min: 1, Max: 11, Broker: true, Controller: false, Name: "ListOffsets", flexible: 6},
	{Key: 3, Min: 0, Max: 13, Broker: true, Controller: false, Name: "Metadata", flexible: 9},
	{Key: 8, Min: 2, Max: 10, Broker: true, Controller: false, Name: "OffsetCommit", flexible: 8},
	{Key: 9, Min: 1, Max: 10, Broker: true, Controller: false, Name: "OffsetFetch", flexible: 6},
	{Key: 10, Min: 0, Max: 6, Broker: true, Controller: false, Name: "FindCoordinator", flexible: 3},
	{Key: 11, Min: 0, Max: 9, Broker: true, Controller: false, Name: "JoinGroup", flexible: 6},
	{Key: 12, Min: 0, Max: 4, Broker: true, Controller: false, Name: "Heartbeat", flexible: 4},
	{Key: 13, Min: 0, Max: 5, Broker: true, Controller: false, Name: "LeaveGroup", flexible: 4},
	{Key: 14, Min: 0, Max: 5, Broker: true, Controller: false, Name: "SyncGroup", flexible: 4},
	{Key: 15, Min: 0, Max: 6, Broker: true, Controller: false, Name: "DescribeGroups", flexible: 5},
	{Key: 16, Min: 0, Max: 5, Broker: true, Controller: false, Name: "ListGroups", flexible: 3},
	{Key: 17, Min: 0, Max: 1, Broker: true, Controller: true, Name: "SaslHandshake", flexible: never},
	{Key: 18, Min: 0, Max: 4, Broker: true, Controller: true, Name: "ApiVersions", flexible: 3},
	{Key: 19, Min: 2, Max: 7, Broker: true, Controller: true, Name: "CreateTopics", flexible: 5},
	{Key: 20, Min: 1, Max: 6, Broker: true, Controller: true, Name: "DeleteTopics", flexible: 4},
	{Key: 21, Min: 0, Max: 2, Broker: true, Controller: false, Name: "DeleteRecords", flexible: 2},
	{Key: 22, Min: 0, Max: 5, Broker: true, Controller: false, Name: "InitProducerId", flexible: 2},
	{Key: 23, Min: 2, Max: 4, Broker: true, Controller: false, Name: "OffsetForLeaderEpoch", flexible: 4},
	{Key: 24, Min: 0, Max: 5, Broker: true, Controller: false, Name: "AddPartitionsToTxn", flexible: 3},
	{Key: 25, Min: 0, Max: 4, Broker: true, Controller: false, Name: "AddOffsetsToTxn", flexible: 3},
	{Key: 26, Min: 0, Max: 5, Broker: true, Controller: false, Name: "EndTxn", flexible: 3},
	{Key: 27, Min: 1, Max: 2, Broker: true, Controller: false, Name: "WriteTxnMarkers", flexible: 1},
	{Key: 28, Min: 0, Max: 5, Broker: true, Controller: false, Name: "TxnOffsetCommit", flexible: 3},
	{Key: 29, Min: 1, Max: 3, Broker: true, Controller: true, Name: "DescribeAcls", flexible: 2},
	{Key: 30, Min: 1, Max: 3, Broker: true, Controller: true, Name: "CreateAcls", flexible: 2},
	{Key: 31, Min: 1, Max: 3, Broker: true, Controller: true, Name: "DeleteAcls", flexible: 2},
	{Key: 32, Min: 1, Max: 4, Broker: true, Controller: true, Name: "DescribeConfigs", flexible: 4},
	{Key: 33, Min: 0, Max: 2, Broker: true, Controller: true, Name: "AlterConfigs", flexible: 2},
	{Key: 34, Min: 1, Max: 2, Broker: true, Controller: false, Name: "AlterReplicaLogDirs", flexible: 2},
	{Key: 35, Min: 1, Max: 5, Broker: true, Controller: false, Name: "DescribeLogDirs", flexible: 2},
	{Key: 36, Min: 0, Max: 2, Broker: true, Controller: true, Name: "SaslAuthenticate", flexible: 2},
	{Key: 37, Min: 0, Max: 3, Broker: true, Controller: true, Name: "CreatePartitions", flexible: 2},
	{Key: 38, Min: 1, Max: 3, Broker: true, Controller: true, Name: "CreateDelegationToken", flexible: 2},
	{Key: 39, Min: 1, Max: 2, Broker: true, Controller: true, Name: "RenewDelegationToken", flexible: 2},
	{Key: 40, Min: 1, Max: 2, Broker: true, Controller: true, Name: "ExpireDelegationToken", flexible: 2},
	{Key: 41, Min: 1, Max: 3, Broker: true, Controller: true, Name: "DescribeDelegationToken", flexible: 2},
	{Key: 42, Min: 0, Max: 2, Broker: true, Controller: false, Name: "DeleteGroups", flexible: 2},
	{Key: 43, Min: 0, Max: 2, Broker: true, Controller: true, Name: "ElectLeaders", flexible: 2},
	{Key: 44, Min: 0, Max: 1, Broker: true, Controller: true, Name: "IncrementalAlterConfigs", flexible: 1},
	{Key: 45, Min: 0, Max: 1, Broker: true, Controller: true, Name: "AlterPartitionReassignments", flexible: 0},
	{Key: 46, Min: 0, Max: 0, Broker: true, Controller: true, Name: "ListPartitionReassignments", flexible: 0},
	{Key: 47, Min: 0, Max: 0, Broker: true, Controller: false, Name: "OffsetDelete", flexible: never},
	{Key: 48, Min: 0, Max: 1, Broker: true, Controller: false, Name: "DescribeClientQuotas", flexible: 1},
	{Key: 49, Min: 0, Max: 1, Broker: true, Controller: true, Name: "AlterClientQuotas", flexible: 1},
	{Key: 50, Min: 0, Max: 0, Broker: true, Controller: true, Name: "DescribeUserScramCredentials", flexible: 0},
	{Key: 51, Min: 0, Max: 0, Broker: true, Controller: true, Name: "AlterUserScramCredentials", flexible: 0},
	{Key: 52, Min: 0, Max: 2, Broker: false, Controller: true, Name: "Vote", flexible: 0},
	{Key: 53, Min: 0, Max: 1, Broker: false, Controller: true, Name: "BeginQuorumEpoch", flexible: 1},
	{Key: 54, Min: 0, Max: 1, Broker: false, Controller: true, Name: "EndQuorumEpoch", flexible: 1},
	{Key: 55, Min: 0, Max: 2, Broker: true, Controller: true, Name: "DescribeQuorum", flexible: 0},
	{Key: 56, Min: 2, Max: 3, Broker: false, Controller: true, Name: "AlterPartition", flexible: 0},
	{Key: 57, Min: 0, Max: 2, Broker: true, Controller: true, Name: "UpdateFeatures", flexible: 0},
	{Key: 58, Min: 0, Max: 0, Broker: false, Controller: true, Name: "Envelope", flexible: 0},
	{Key: 59, Min: 0, Max: 1, Broker: false, Controller: true, Name: "FetchSnapshot", flexible: 0},
	{Key: 60, Min: 0, Max: 2, Broker: true, Controller: true, Name: "DescribeCluster", flexible: 0},
	{Key: 61, Min: 0, Max: 0, Broker: true, Controller: false, Name: "DescribeProducers", flexible: 0},
	{Key: 62, Min: 0, Max: 4, Broker: false, Controller: true, Name: "BrokerRegistration", flexible: 0},
	{Key: 63, Min: 0, Max: 2, Broker: false, Controller: true, Name: "BrokerHeartbeat", flexible: 0},
	{Key: 64, Min: 0, Max: 0, Broker: true, Controller: true, Name: "UnregisterBroker", flexible: 0},
	{Key: 65, Min: 0, Max: 0, Broker: true, Controller: false, Name: "DescribeTransactions", flexible: 0},
	{Key: 66, Min: 0, Max: 2, Broker: true, Controller: false, Name: "ListTransactions", flexible: 0},
	{Key: 67, Min: 0, Max: 0, Broker: false, Controller: true, Name: "AllocateProducerIds", flexible: 0},
	{Key: 68, Min: 0, Max: 1, Broker: true, Controller: false, Name: "ConsumerGroupHeartbeat", flexible: 0},
	{Key: 69, Min: 0, Max: 1, Broker: true, Controller: false, Name: "ConsumerGroupDescribe", flexible: 0},
	{Key: 70, Min: 0, Max: 0, Broker: false, Controller: true, Name: "ControllerRegistration", flexible: 0},
	{Key: 71, Min: 0, Max: 0, Broker: true, Controller: false, Name: "GetTelemetrySubscriptions", flexible: 0},
	{Key: 72, Min: 0, Max: 0, Broker: true, Controller: false, Name: "PushTelemetry", flexible: 0},
	{Key: 73, Min: 0, Max: 0, Broker: false, Controller: true, Name: "AssignReplicasToDirs", flexible: 0},
	{Key: 74, Min: 0, Max: 1, Broker: true, Controller: false, Name: "ListConfigResources", flexible: 0},
	{Key: 75, Min: 0, Max: 0, Broker: true, Controller: false, Name: "DescribeTopicPartitions", flexible: 0},
	{Key: 76, Min: 1, Max: 1, Broker: true, Controller: false, Name: "ShareGroupHeartbeat", flexible: 0},
	{Key: 77, Min: 1, Max: 1, Broker: true, Controller: false, Name: "ShareGroupDescribe", flexible: 0},
	{Key: 78, Min: 1, Max: 2, Broker: true, Controller: false, Name: "ShareFetch", flexible: 0},
	{Key: 79, Min: 1, Max: 2, Broker: true, Controller: false, Name: "ShareAcknowledge", flexible: 0},
	{Key: 80, Min: 0, Max: 1, Broker: true, Controller: true, Name: "AddRaftVoter", flexible: 0},
	{Key: 81, Min: 0, Max: 0, Broker: true, Controller: true, Name: "RemoveRaftVoter", flexible: 0},
	{Key: 82, Min: 0, Max: 0, Broker: false, Controller: true, Name: "UpdateRaftVoter", flexible: 0},
	{Key: 83, Min: 0, Max: 0, Broker: true, Controller: false, Name: "InitializeShareGroupState", flexible: 0},
	{Key: 84, Min: 0, Max: 0, Broker: true, Controller: false, Name: "ReadShareGroupState", flexible: 0},
	{Key: 85, Min: 0, Max: 1, Broker: true, Controller: false, Name: "WriteShareGroupState", flexible: 0},
	{Key: 86, Min: 0, Max: 0, Broker: true, Controller: false, Name: "DeleteShareGroupState", flexible: 0},
	{Key: 87, Min: 0, Max: 1, Broker: true, Controller: false, Name: "ReadShareGroupStateSummary", flexible: 0},
	{Key: 88, Min: 0, Max: 0, Broker: true, Controller: false, Name: "StreamsGroupHeartbeat", flexible: 0},
	{Key: 89, Min: 0, Max: 0, Broker: true, Controller: false, Name: "StreamsGroupDescribe", flexible: 0},
	{Key: 90, Min: 0, Max: 1, Broker: true, Controller: false, Name: "DescribeShareGroupOffsets", flexible: 0},
	{Key: 91, Min: 0, Max: 0, Broker: true, Controller: false, Name: "AlterShareGroupOffsets", flexible: 0},
	{Key: 92, Min: 0, Max: 0, Broker: true, Controller: false, Name: "DeleteShareGroupOffsets", flexible: 0},
}

// The keys this package treats apart.
const (
	keyProduce     = 0
	keyFetch       = 1
	keyApiVersions = 18
)

// maxKey is the largest key a correlation id can carry.
const maxKey = 1<<7 - 1

// places holds each key's place in APIs plus one.
var places = placeAPIs()

func placeAPIs() (p [maxKey + 1]uint8) {
	for i := range APIs {
		p[APIs[i].Key] = uint8(i + 1)
	}
	return p
}

// Lookup finds a key's API.
func Lookup(key int16) (API, bool) {
	if a := lookup(key); a != nil {
		return *a, true
	}
	return API{}, false
}

func lookup(key int16) *API {
	if key < 0 || key > maxKey || places[key] == 0 {
		return nil
	}
	return &APIs[places[key]-1]
}

// KeyName is a key's name, or "key 123".
func KeyName(key int16) string {
	if a := lookup(key); a != nil {
		return a.Name
	}
	return "key " + strconv.Itoa(int(key))
}

func (a *API) has(version int16) bool { return a.Min <= version && version <= a.Max }
