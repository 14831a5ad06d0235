package txn

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// play is clients of one transactional id, and what they and the partitions were told.
type play struct {
	*stage
	t        *rapid.T
	version  int16
	clients  []Producer        // by age
	given    map[Producer]int  // by whom each was got
	verdicts map[Producer]bool // by what the markers bear
}

// spoken is the version that clients say.
func (p *play) spoken() int16 { return p.version &^ 1 }

// client draws one, mostly the newest.
func (p *play) client() (i int, who Producer) {
	if len(p.clients) == 0 {
		return -1, Producer{1001, 0}
	}
	i = len(p.clients) - 1 - min(len(p.clients)-1, rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(p.t, "age"))
	return i, p.clients[i]
}

// got takes a producer that somebody was told to be.
func (p *play) got(by int, who Producer) {
	if who.Epoch < 0 || who.Epoch == 32767 {
		p.t.Fatalf("a client is told to be %+v", who)
	}
	if was, found := p.given[who]; found && was != by {
		p.t.Fatalf("clients %d and %d are both %+v", was, by, who)
	}
	p.given[who] = by
}

func (p *play) actInit(t *rapid.T) {
	var expected *Producer
	by := len(p.clients)
	if i, who := p.client(); i >= 0 && rapid.Bool().Draw(t, "again") {
		expected, by = &who, i
	}
	r := p.init(expected)
	p.maybeCommit(t)
	if r.err != nil {
		return
	}
	p.got(by, r.Producer)
	if by == len(p.clients) {
		p.clients = append(p.clients, r.Producer)
	} else {
		p.clients[by] = r.Producer
	}
}

func (p *play) actAdd(t *rapid.T) {
	_, who := p.client()
	r := p.add(who, p.spoken(), rapid.Int32Range(0, 2).Draw(t, "partition"))
	p.maybeCommit(t)
	if now := p.m.get("id"); r.err == nil && now != nil && now.producer != who {
		t.Fatalf("%+v may write, though %+v is the producer", who, now.producer)
	}
}

func (p *play) actEnd(t *rapid.T) {
	by, who := p.client()
	if by < 0 {
		return
	}
	commit := rapid.Bool().Draw(t, "commit")
	r := p.end(who, commit, p.spoken())
	p.maybeCommit(t)
	if r.err == nil && p.spoken() >= 2 {
		p.got(by, r.Producer)
		p.clients[by] = r.Producer
	}
}

// maybeCommit has the answer come, or not, before something else happens.
func (p *play) maybeCommit(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "commit the log") > 0 {
		p.commit()
		p.noteMarkers()
	}
}

// noteMarkers checks that no two markers of one producer and epoch contradict each other.
func (p *play) noteMarkers() {
	for _, sent := range p.markers {
		for _, m := range sent.req.Markers {
			who := Producer{m.ProducerID, m.ProducerEpoch}
			if p.spoken() >= 2 {
				if verdict, found := p.verdicts[who]; found && verdict != m.Committed {
					p.t.Fatalf("the transaction of %+v is both committed and aborted", who)
				}
			}
			p.verdicts[who] = m.Committed
		}
	}
}

func TestEachProducerIsOneClientAndEachTransactionHasOneVerdict(t *testing.T) {
	for version := int16(1); version <= 2; version++ {
		rapid.Check(t, func(t *rapid.T) {
			p := &play{stage: newStage(t, version), t: t, version: version, given: map[Producer]int{}, verdicts: map[Producer]bool{}}
			if rapid.Bool().Draw(t, "near the last epoch") {
				p.put(&transaction{producer: Producer{7, 32763}, previousID: 7, nextID: -1, state: CompleteAbort, timeoutMs: 1000, lastEpoch: -1})
			}
			t.Repeat(map[string]func(*rapid.T){
				"init": p.actInit, "add": p.actAdd, "add again": p.actAdd, "end": p.actEnd,
				"markers": func(t *rapid.T) {
					p.noteMarkers()
					p.answerMarkers(rapid.SampledFrom([]int16{0, 0, 0, kerr.NotLeaderForPartition.Code}).Draw(t, "code"))
				},
				"time":  func(t *rapid.T) { p.world.RunUntil(p.world.Now().Add(70e9)) },
				"crash": func(*rapid.T) { p.crash() },
				"refuse": func(t *rapid.T) {
					p.refuse = rapid.SampledFrom([]error{nil, nil, kerr.CoordinatorNotAvailable}).Draw(t, "refusal")
				},
				"": func(t *rapid.T) {
					if x := p.m.get("id"); x != nil && (x.producer.Epoch < 0 || x.state.isPrepared() != (p.m.endings["id"] != nil) && p.committed == len(p.records) && len(p.waiting) == 0 && p.refuse == nil) {
						t.Fatalf("%+v, and %+v", x, p.m.endings["id"])
					}
				},
			})
			p.refuse = nil // in the end all is decided
			for range 10 {
				p.world.RunUntil(p.world.Now().Add(70e9))
				p.commit()
				p.noteMarkers()
				p.answerMarkers(0)
				p.commit()
			}
			if x := p.m.get("id"); x != nil && (x.state == Ongoing || x.state.isPrepared()) {
				t.Fatalf("it stays %v", x.state)
			}
		})
	}
}
