package controller

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

func drawBrokers(t *rapid.T) []usableBroker {
	var brokers []usableBroker
	for id := range int32(rapid.IntRange(1, 9).Draw(t, "brokers")) {
		brokers = append(brokers, usableBroker{
			id:     id,
			rack:   rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "rack"),
			fenced: rapid.IntRange(0, 3).Draw(t, "fenced") == 0,
		})
	}
	return brokers
}

func TestPlacementSpreadsOverRacksAndNamesNobodyTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		brokers := drawBrokers(t)
		factor := rapid.IntRange(1, len(brokers)).Draw(t, "factor")
		n := rapid.IntRange(1, 30).Draw(t, "partitions")
		racks, unfenced, of := map[string]int{}, 0, map[int32]usableBroker{}
		for _, b := range brokers {
			racks[b.rack]++
			of[b.id] = b
			if !b.fenced {
				unfenced++
			}
		}
		placed, err := place(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), brokers, n, factor)
		if unfenced == 0 {
			if err != kerr.InvalidReplicationFactor {
				t.Fatalf("all are fenced: %v", err)
			}
			return
		}
		for _, replicas := range placed {
			sorted := slices.Sorted(slices.Values(replicas))
			if len(slices.Compact(sorted)) != factor {
				t.Fatalf("replicas %v for factor %d", replicas, factor)
			}
			if of[replicas[0]].fenced {
				t.Fatalf("the leader of %v is fenced", replicas)
			}
			used := map[string]bool{}
			for _, id := range replicas {
				used[of[id].rack] = true
			}
			if len(used) != min(factor, len(racks)) {
				t.Fatalf("%v uses %d racks of %d", replicas, len(used), len(racks))
			}
		}
	})
}

// Racks lead equally often, and brokers do where there is one rack. Within racks Kafka's stripes do not
// promise it: with three racks of three, one broker of each leads until the next shuffle.
func TestPlacementSpreadsLeaders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perRack, racks := rapid.IntRange(1, 3).Draw(t, "perRack"), rapid.IntRange(1, 3).Draw(t, "racks")
		var brokers []usableBroker
		for id := range int32(perRack * racks) {
			brokers = append(brokers, usableBroker{id: id, rack: string(rune('a' + int(id)%racks))})
		}
		factor := rapid.IntRange(1, min(3, len(brokers))).Draw(t, "factor")
		rounds := rapid.IntRange(1, 4).Draw(t, "rounds")
		placed, err := place(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), brokers, rounds*len(brokers), factor)
		if err != nil {
			t.Fatal(err)
		}
		byBroker, byRack := map[int32]int{}, map[int]int{}
		for _, replicas := range placed {
			byBroker[replicas[0]]++
			byRack[int(replicas[0])%racks]++
		}
		for r := range racks {
			if byRack[r] != rounds*perRack {
				t.Fatalf("rack %d leads %d of %d partitions", r, byRack[r], len(placed))
			}
		}
		for id := range int32(perRack) {
			if racks == 1 && byBroker[id] != rounds {
				t.Fatalf("broker %d leads %d of %d partitions", id, byBroker[id], len(placed))
			}
		}
	})
}

func TestPlacementRefusesTooManyReplicas(t *testing.T) {
	brokers := []usableBroker{{id: 1}, {id: 2}}
	for _, factor := range []int{-1, 0, 3} {
		if _, err := place(rand.New(rand.NewPCG(1, 1)), brokers, 1, factor); err != kerr.InvalidReplicationFactor {
			t.Errorf("factor %d: %v", factor, err)
		}
	}
}

func TestOneUnfencedBrokerLeadsAll(t *testing.T) {
	brokers := []usableBroker{{id: 1}, {id: 2, fenced: true}}
	placed, err := place(rand.New(rand.NewPCG(1, 1)), brokers, 5, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, replicas := range placed {
		if !slices.Equal(replicas, []int32{1, 2}) {
			t.Errorf("replicas %v", replicas)
		}
	}
}
