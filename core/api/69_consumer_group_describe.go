package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConsumerGroupDescribe (key 69), versions 0 and 1: state, members and assignments of groups of the consumer protocol (KIP-848); from version 1
// which protocol each member speaks. One of another kind, or that does not exist, is not found. Needs group.version 1.
func (k *call) consumerGroupDescribe() {
	req := k.req.Body.(*kmsg.ConsumerGroupDescribeRequest)
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	names := once(req.Groups)
	resp.Groups = make([]kmsg.ConsumerGroupDescribeResponseGroup, len(names))
	left := len(names)
	if left == 0 {
		k.reply(resp)
		return
	}
	for i, name := range names {
		k.describeConsumerGroup(name, func(told kmsg.ConsumerGroupDescribeResponseGroup) {
			told.AuthorizedOperations = operations(req.IncludeAuthorizedOperations && told.ErrorCode == 0, groupOperations)
			resp.Groups[i] = told
			if left--; left == 0 {
				k.reply(resp)
			}
		})
	}
}

func (k *call) describeConsumerGroup(name string, done func(kmsg.ConsumerGroupDescribeResponseGroup)) {
	if k.hasConsumerGroups() {
		k.server.Groups.DescribeConsumerGroup(name, done)
		return
	}
	told := kmsg.NewConsumerGroupDescribeResponseGroup()
	told.Group, told.ErrorCode, told.ErrorMessage = name, kerr.UnsupportedVersion.Code, messageOf(kerr.UnsupportedVersion)
	done(told)
}
