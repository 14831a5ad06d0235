package main

import (
	"strings"
	"testing"
)

func TestLineBeforeFlushIsWritten(t *testing.T) {
	for range 20_000 {
		var out strings.Builder
		l := newLogger(&out)
		l.printf(-1, "first")
		l.printf(-1, "last")
		l.flush()
		if !strings.Contains(out.String(), "last") {
			t.Fatalf("lost the last line: %q", out.String())
		}
	}
}
