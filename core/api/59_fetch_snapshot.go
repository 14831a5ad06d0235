package api

import "github.com/twmb/franz-go/pkg/kmsg"

// FetchSnapshot (key 59), versions 0 and 1: a piece of a metadata snapshot (KIP-630).
func (k *call) fetchSnapshot() {
	k.server.Quorum.HandleFetchSnapshot(k.req.Body.(*kmsg.FetchSnapshotRequest), replyTo[*kmsg.FetchSnapshotResponse](k))
}
