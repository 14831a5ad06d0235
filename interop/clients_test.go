package main

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestGoClients tries the clients that need nothing but Go, on one node and on three.
func TestGoClients(t *testing.T) {
	t.Parallel()
	onClusters(t, func(t *testing.T, c *cluster, work string) {
		for _, s := range goSuites() {
			e, err := newEnv(c, work, work, s.client, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			s.run(t.Context(), e, func(string) bool { return true }, func(r result) {
				if r.Outcome != pass {
					t.Errorf("%s, %s: %s", r.Client, r.Feature, r.Detail)
				}
			})
		}
	})
}

// TestFranzGoPassesItsOwnTests calmly on one node, and with connections that die at random on three.
func TestFranzGoPassesItsOwnTests(t *testing.T) {
	t.Parallel()
	onClusters(t, func(t *testing.T, c *cluster, work string) {
		chaos := "KGO_TEST_CHAOS=0"
		if c.nodes > 1 {
			chaos = "KGO_TEST_CHAOS=1"
		}
		e, err := newEnv(c, work, work, "kgo", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := runKgo(t.Context(), e, "5000", chaos); err != nil {
			t.Error(err)
		}
	})
}

// onClusters runs f beside itself on a cluster of one node and on one of three: clients mostly wait.
func onClusters(t *testing.T, f func(t *testing.T, c *cluster, work string)) {
	binary, err := buildLockstepd(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			t.Parallel()
			work := t.TempDir()
			c, err := startCluster(context.Background(), binary, work, nodes)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := c.stop(); err != nil {
					t.Errorf("shutting down: %v", err)
				}
			}()
			f(t, c, work)
		})
	}
}
