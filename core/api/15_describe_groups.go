package api

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeGroups (key 15), versions 0 to 6: state and members of classic groups. One that does not exist is "Dead"; from version 6
// that is an error (KIP-1043).
func (k *call) describeGroups() {
	req := k.req.Body.(*kmsg.DescribeGroupsRequest)
	resp := kmsg.NewPtrDescribeGroupsResponse()
	names := once(req.Groups)
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(names))
	left := len(names)
	if left == 0 {
		k.reply(resp)
		return
	}
	for i, name := range names {
		k.server.Groups.DescribeGroup(name, req.Version, func(told kmsg.DescribeGroupsResponseGroup) {
			told.AuthorizedOperations = operations(req.IncludeAuthorizedOperations && told.ErrorCode == 0, groupOperations)
			resp.Groups[i] = told
			if left--; left == 0 {
				k.reply(resp)
			}
		})
	}
}

// once is the names without repetitions: an answer is many times the size of a name.
func once(names []string) (distinct []string) {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			distinct = append(distinct, name)
		}
	}
	return distinct
}
