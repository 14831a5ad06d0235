package sim

import (
	"bytes"
	"testing"
	"time"
)

func TestTimeLeftIsOfWhatIsStillToDo(t *testing.T) {
	for _, c := range []struct {
		first, done, of   uint64
		took, limit, want time.Duration
	}{
		{1, 10, 100, 10 * time.Second, 0, 90 * time.Second},
		{51, 60, 100, 10 * time.Second, 0, 40 * time.Second}, // fifty were known
		{1, 10, 100, 10 * time.Second, 30 * time.Second, 20 * time.Second},
		{1, 10, 100, 40 * time.Second, 30 * time.Second, 0},
		{1, 100, 100, 10 * time.Second, 0, 0},
		{1, 101, 100, 10 * time.Second, 0, 0},
	} {
		p := NewProgress(new(bytes.Buffer), c.of)
		p.Within(c.limit)
		p.Show(c.first, "steps")
		if got := p.left(c.done, c.took); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestProgressIsSilentElsewhereThanOnATerminal(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, 2)
	p.Show(1, "steps")
	p.Clear()
	if b.Len() > 0 {
		t.Errorf("%q", b.String())
	}
}
