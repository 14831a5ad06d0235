package main

import (
	"context"
	"testing"
	"time"
)

// TestGoClients tries the clients that need nothing but Go, on one node and on three.
func TestGoClients(t *testing.T) {
	work := t.TempDir()
	binary, err := buildLockstepd(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	for _, nodes := range []int{1, 3} {
		c, err := startCluster(context.Background(), binary, work, nodes)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range goSuites() {
			e, err := newEnv(c, work, work, s.client, 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			s.run(t.Context(), e, func(string) bool { return true }, func(r result) {
				if r.Outcome != pass {
					t.Errorf("%d nodes, %s, %s: %s", nodes, r.Client, r.Feature, r.Detail)
				}
			})
		}
		if err := c.stop(); err != nil {
			t.Errorf("%d nodes: shutting down: %v", nodes, err)
		}
	}
}
