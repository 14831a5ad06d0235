package wire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// randomFetch is a Fetch of which decodeFetch and appendFetch take most.
func randomFetch(r *rand.Rand, version int16) *kmsg.FetchRequest {
	v := kmsg.NewPtrFetchRequest()
	v.Version = version
	v.ReplicaID, v.MaxWaitMillis, v.MinBytes, v.MaxBytes = -1, r.Int32(), r.Int32(), r.Int32()
	v.SessionID, v.SessionEpoch, v.IsolationLevel = r.Int32(), r.Int32(), int8(r.IntN(2))
	for range r.IntN(3) {
		t := kmsg.NewFetchRequestTopic()
		t.TopicID[3] = byte(r.Uint32())
		for range r.IntN(4) {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.FetchOffset = r.Int32(), r.Int32(), r.Int64()
			p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = r.Int32(), r.Int64(), r.Int32()
			if r.IntN(20) == 0 {
				p.HighWatermark = r.Int64()
			}
			t.Partitions = append(t.Partitions, p)
		}
		v.Topics = append(v.Topics, t)
	}
	for range r.IntN(3) {
		t := kmsg.NewFetchRequestForgottenTopic()
		t.TopicID[3], t.Partitions = byte(r.Uint32()), []int32{r.Int32(), r.Int32()}[:r.IntN(3)]
		v.ForgottenTopics = append(v.ForgottenTopics, t)
	}
	switch r.IntN(5) {
	case 0:
		v.Rack = "rack"
	case 1:
		v.ClusterID = kmsg.StringPtr("cluster")
	case 2, 3:
		v.ReplicaState.ID, v.ReplicaState.Epoch = r.Int32(), r.Int64()
	}
	return v
}

func TestFetchRequestIsWrittenAsKmsgWritesIt(t *testing.T) {
	r, fast := rand.New(rand.NewPCG(1, 2)), 0
	for range 5000 {
		v := randomFetch(r, int16(13+r.IntN(6)))
		want := v.AppendTo(nil)
		got, ok := appendFetch(nil, v)
		if ok && !bytes.Equal(got, want) {
			t.Fatalf("version %d:\n%x, want\n%x", v.Version, got, want)
		}
		if ok {
			fast++
		}
	}
	if fast < 3000 {
		t.Errorf("only %d of 5000 were written by hand", fast)
	}
}

func addFetchSeeds(add func(version int16, body []byte)) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		v := randomFetch(r, int16(13+r.IntN(6)))
		add(v.Version, v.AppendTo(nil))
	}
}

// checkFetchRequest compares with kmsg: what we take the guard lets pass, and kmsg reads alike.
func checkFetchRequest(t *testing.T, version int16, body []byte) (fast bool) {
	q := decodeFetch(body, Request{Key: keyFetch, Version: version})
	if q == nil {
		return false
	}
	if !guardRequest(body, lookup(keyFetch), version) {
		t.Fatalf("the guard refuses %x", body)
	}
	want := kmsg.NewPtrFetchRequest()
	want.Version = version
	if err := want.ReadFrom(body); err != nil {
		t.Fatalf("kmsg: %v", err)
	}
	if got := q.Body.AppendTo(nil); !bytes.Equal(got, want.AppendTo(nil)) {
		t.Fatalf("version %d:\n%+v, kmsg\n%+v", version, q.Body, want)
	}
	q.Recycle() // the next one must not show it
	return true
}

func TestFetchRequestIsReadAsKmsgReadsIt(t *testing.T) {
	fast := 0
	addFetchSeeds(func(version int16, body []byte) {
		if checkFetchRequest(t, version, body) {
			fast++
		}
		for i := range body {
			checkFetchRequest(t, version, body[:i])
		}
	})
	if fast < 30 {
		t.Errorf("only %d of 60 were read by hand", fast)
	}
}

func FuzzFetchRequest(f *testing.F) {
	addFetchSeeds(func(version int16, body []byte) { f.Add(version, body) })
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version >= fetchTopicID && version <= 18 {
			checkFetchRequest(t, version, body)
		}
	})
}

func addFetchedSeeds(add func(version int16, body []byte)) {
	one := batchOf(record.None, "one")
	for topics := range 3 {
		for partitions := range 3 {
			v := &FetchResponse{ThrottleMs: 1, ErrorCode: 2, SessionID: 3}
			for range topics {
				topic := FetchTopic{TopicID: [16]byte{7}}
				for i := range partitions {
					p := NewFetchPartition(int32(i))
					p.HighWatermark, p.LogStartOffset, p.LastStableOffset = 77, 5, 76
					if i == 1 {
						p.Records = []network.Chunk{{Bytes: one}}
					}
					topic.Partitions = append(topic.Partitions, p)
				}
				v.Topics = append(v.Topics, topic)
			}
			add(17, flatten(EncodeFetch(v, 17, 0))[5:])
			if topics*partitions > 0 {
				v.Topics[0].Partitions[0].CurrentLeader = Leader{1, 2}
				v.Topics[0].Partitions[0].AbortedTransactions = []AbortedTransaction{{1, 2}}
				add(13, flatten(EncodeFetch(v, 13, 0))[5:])
			}
		}
	}
}

// checkFetchResponse is checkFetchRequest for answers.
func checkFetchResponse(t *testing.T, version int16, body []byte) (fast bool) {
	q := decodeFetched(body, Response{Key: keyFetch, Version: version})
	if q == nil {
		return false
	}
	if !guardResponse(body, lookup(keyFetch), version) {
		t.Fatalf("the guard refuses %x", body)
	}
	want := kmsg.NewPtrFetchResponse()
	want.Version = version
	if err := want.ReadFrom(body); err != nil {
		t.Fatalf("kmsg: %v", err)
	}
	got := q.Body.(*kmsg.FetchResponse)
	if !bytes.Equal(got.AppendTo(nil), want.AppendTo(nil)) {
		t.Fatalf("version %d:\n%+v, kmsg\n%+v", version, got, want)
	}
	for i := range got.Topics {
		for j, p := range got.Topics[i].Partitions {
			if k := want.Topics[i].Partitions[j]; !reflect.DeepEqual(p, k) {
				t.Fatalf("%+v, kmsg %+v", p, k)
			}
		}
	}
	q.Recycle() // the next one must not show it
	return true
}

func TestFetchResponseIsReadAsKmsgReadsIt(t *testing.T) {
	fast, all := 0, 0
	addFetchedSeeds(func(version int16, body []byte) {
		all++
		if checkFetchResponse(t, version, body) {
			fast++
		}
		for i := range body {
			checkFetchResponse(t, version, body[:i])
		}
	})
	if fast < 9 || fast == all {
		t.Errorf("%d of %d were read by hand", fast, all)
	}
}

func FuzzFetchResponse(f *testing.F) {
	addFetchedSeeds(func(version int16, body []byte) { f.Add(version, body) })
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version >= fetchTopicID && version <= 18 {
			checkFetchResponse(t, version, body)
		}
	})
}
