package api

import (
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// markerPatience is the longest wait for markers to be committed. The coordinator comes again; another marker then does no harm.
const markerPatience = 5 * time.Second

// WriteTxnMarkers (key 27), versions 1 and 2: ends transactions in partitions that this broker leads, for their coordinator. It is
// answered when all markers are committed, or failed. Those of __consumer_offsets go through the group coordinator, which has to know. From
// version 2 on markers have a transaction.version, by which the partition judges their epoch (KIP-1228).
func (k *call) writeTxnMarkers() {
	w := &markersCall{call: k, req: k.req.Body.(*kmsg.WriteTxnMarkersRequest), open: 1} // until all are on their way
	w.resp.Markers = make([]kmsg.WriteTxnMarkersResponseMarker, 0, len(w.req.Markers))
	for i := range w.req.Markers {
		w.resp.Markers = append(w.resp.Markers, w.markers(&w.req.Markers[i]))
	}
	if len(w.entries) > 0 {
		w.open++
		w.server.Replicas.Produce(-1, markerPatience, w.entries, nil, func(results []replica.ProduceResult) {
			for i := range results {
				*w.codes[i] = wire.Code(results[i].Err)
			}
			w.finish()
		})
	}
	w.finish()
}

// markersCall is one WriteTxnMarkers on its way.
type markersCall struct {
	*call
	req     *kmsg.WriteTxnMarkersRequest
	resp    kmsg.WriteTxnMarkersResponse
	entries []replica.ProduceEntry
	codes   []*int16 // where the result of each entry goes
	open    int
}

func (w *markersCall) finish() {
	if w.open--; w.open == 0 {
		w.reply(&w.resp)
	}
}

// markers has the markers of one transaction written, one to a partition.
func (w *markersCall) markers(asked *kmsg.WriteTxnMarkersRequestMarker) kmsg.WriteTxnMarkersResponseMarker {
	seen := map[event.Partition]bool{}
	told := kmsg.WriteTxnMarkersResponseMarker{ProducerID: asked.ProducerID, Topics: make([]kmsg.WriteTxnMarkersResponseMarkerTopic, len(asked.Topics))}
	for i := range asked.Topics {
		t := &told.Topics[i]
		t.Topic, t.Partitions = asked.Topics[i].Topic, make([]kmsg.WriteTxnMarkersResponseMarkerTopicPartition, len(asked.Topics[i].Partitions))
		for j, index := range asked.Topics[i].Partitions {
			p := &t.Partitions[j]
			p.Partition = index
			id := event.Partition{Topic: t.Topic, Index: index}
			switch {
			case w.server.Image().Partition(id) == nil:
				p.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case seen[id] || asked.ProducerID < 0 || asked.ProducerEpoch < 0:
				p.ErrorCode = kerr.InvalidRequest.Code
			default:
				seen[id] = true
				w.marker(asked, id, &p.ErrorCode)
			}
		}
	}
	return told
}

func (w *markersCall) marker(asked *kmsg.WriteTxnMarkersRequestMarker, id event.Partition, code *int16) {
	m := record.Marker{Commit: asked.Committed, CoordinatorEpoch: asked.CoordinatorEpoch}
	b := record.BuildMarker(asked.ProducerID, asked.ProducerEpoch, m, w.server.Env.Loop.UnixMilli())
	version := int16(asked.TransactionVersion)
	if id.Topic == config.ConsumerOffsets {
		w.offsetsMarker(id.Index, b, version, code)
		return
	}
	w.entries = append(w.entries, replica.ProduceEntry{Partition: id, Batch: b, TransactionVersion: version})
	w.codes = append(w.codes, code)
}

func (w *markersCall) offsetsMarker(index int32, b record.Batch, version int16, code *int16) {
	s, err := w.server.Groups.Runtime().ShardAt(index)
	if err == nil {
		w.open++
		err = s.AppendMarker(b, version, func(err error) {
			*code = markerCode(err)
			w.finish()
		})
		if err != nil {
			w.open--
		}
	}
	*code = markerCode(err)
}

// markerCode is what a transaction coordinator is told of the group coordinator's errors: it knows those of partitions only.
func markerCode(err error) int16 {
	switch err {
	case kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator:
		err = kerr.NotLeaderForPartition
	}
	return wire.Code(err)
}
