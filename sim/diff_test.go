package sim

import (
	"bytes"
	"io"
	"testing"
	"time"
)

func TestEqualRunsDoNotPart(t *testing.T) {
	s := DrawFor(5, time.Second)
	partings, err := DiffTraces(Traced(s, nil), Traced(s.clone(), nil), 5)
	if err != nil || len(partings) != 0 {
		t.Errorf("%v, %v", partings, err)
	}
}

func TestRunsPartAtTheFaultThatOneHas(t *testing.T) {
	a := DrawFor(5, 3*time.Second)
	a.Faults = nil
	b := a.clone()
	b.Faults = []Fault{{Label: "kill/0", Kind: Kill, At: time.Second, For: time.Second, Target: "n1"}}
	partings, err := DiffTraces(Traced(a, nil), Traced(b, nil), 5)
	if err != nil || len(partings) < 2 {
		t.Fatalf("%d partings, %v", len(partings), err)
	}
	if p := partings[0]; p.Node != allNodes || len(p.Before) != 5 || p.B[0].Fault != "kill/0" {
		t.Errorf("%+v", p)
	}
	for _, p := range partings[1:] {
		if p.Node == 1 && p.B[0].Kind != "killed" {
			t.Errorf("n1 parts at %s", &p.B[0])
		}
	}
	if lines := DiffSchedules(a, b); len(lines) != 1 || lines[0][0] != '+' {
		t.Errorf("%q", lines)
	}
}

func TestTraceFilePartsWhereALineWasChanged(t *testing.T) {
	var b bytes.Buffer
	Run(DrawFor(5, time.Second), RunOptions{Trace: NewJSONTracer(&b)})
	lines := bytes.SplitAfter(b.Bytes(), []byte("\n"))
	lines[777] = bytes.Replace(lines[777], []byte(`"len":`), []byte(`"len":9`), 1)
	lines[777] = bytes.Replace(lines[777], []byte(`"offset":`), []byte(`"offset":9`), 1)
	changed := bytes.Join(lines, nil)
	read := func(text []byte) Replayable {
		return Recorded(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil })
	}
	partings, err := DiffTraces(read(b.Bytes()), read(changed), 3)
	if err != nil || len(partings) != 2 || partings[0].Common != 777 {
		t.Errorf("%v, %+v", err, partings)
	}
}
