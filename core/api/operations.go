package api

// What a client may do with a topic or the cluster, as a set of bits numbered like Kafka's AclOperation. There is no
// authorizer, so it may do all there is.
const (
	opRead            = 1 << 3
	opWrite           = 1 << 4
	opCreate          = 1 << 5
	opDelete          = 1 << 6
	opAlter           = 1 << 7
	opDescribe        = 1 << 8
	opClusterAction   = 1 << 9
	opDescribeConfigs = 1 << 10
	opAlterConfigs    = 1 << 11
	opIdempotentWrite = 1 << 12

	topicOperations   = opRead | opWrite | opCreate | opDelete | opAlter | opDescribe | opDescribeConfigs | opAlterConfigs
	groupOperations   = opRead | opDelete | opDescribe | opDescribeConfigs | opAlterConfigs
	clusterOperations = opCreate | opAlter | opDescribe | opClusterAction | opDescribeConfigs | opAlterConfigs | opIdempotentWrite

	unknownOperations = -1 << 31 // they were not asked for
)

// operations is all if the client wants to know them.
func operations(asked bool, all int32) int32 {
	if asked {
		return all
	}
	return unknownOperations
}
