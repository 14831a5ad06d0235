package storage

import "testing"

// TestAColdReadMayBeInterrupted deletes or closes the log after each number of turns of a read that has to make an index anew: what it
// finds may be gone, and it must not write into the directory, which may be another log's by then.
func TestAColdReadMayBeInterrupted(t *testing.T) {
	for name, interrupt := range map[string]func(l *Log, done func(error)){ // order: cases are independent
		"close":  func(l *Log, done func(error)) { l.Close(done) },
		"delete": func(l *Log, done func(error)) { l.Delete(done) },
	} {
		for turns := range 40 {
			n := newNode(t, 1)
			l := n.open(n.options(smallConfig()))
			for i := range 12 {
				n.append(l, batch(0, 0, 1, 600, int64(i)), 0)
			}
			l.SetHighWatermark(12)
			l = n.reopen(l)
			n.must("remove", func(done func(error)) { removeFile(l.env.Disk, l.path(fileName(2, indexSuffix)), done) })
			l.segments.floor(2).indexed = false
			ended := 0
			end := func(error) { ended++ }
			if _, err := l.Read(ReadRequest{Offset: 2, UpTo: 12, MaxBytes: 1}, func(s Slice, err error) { s.Release(); end(err) }); err != ErrPending {
				t.Fatalf("read: %v", err)
			}
			for range turns {
				n.world.Step()
			}
			interrupt(l, end)
			over := false
			l.env.Loop.AfterFunc(1e9, func() { over = true })
			if n.run(name, &over); ended != 2 {
				t.Fatalf("%s after %d turns: %d of 2 ended", name, turns, ended)
			}
			if names := n.names("."); name == "delete" && len(names) != 0 {
				t.Fatalf("deleted after %d turns: left %v", turns, names)
			}
		}
	}
}
