package main

// row is one kind of load.
type row struct {
	Name    string
	Kind    string // "franz" (a stock producer), "raw" (pre-built requests), "fetch" (from the start, pre-built requests)
	Acks    int
	Size    int   // bytes of a record (franz) or of a batch (raw, fetch)
	Window  int   // requests in flight (raw, fetch)
	Bytes   int64 // record bytes to move
	Nodes   int   // of the cluster
	RF      int
	NoKfake bool
}

// The volumes take each server about one to three seconds.
var rows = []row{
	{Name: "franz-go acks=1 1 KiB", Kind: "franz", Acks: 1, Size: 1 << 10, Bytes: 768 << 20},
	{Name: "franz-go acks=1 100 B", Kind: "franz", Acks: 1, Size: 100, Bytes: 96 << 20},
	{Name: "franz-go acks=all 1 KiB", Kind: "franz", Acks: -1, Size: 1 << 10, Bytes: 768 << 20},
	{Name: "franz-go acks=all 100 B", Kind: "franz", Acks: -1, Size: 100, Bytes: 96 << 20},
	{Name: "produce 1 KiB batches", Kind: "raw", Acks: 1, Size: 1 << 10, Window: 64, Bytes: 384 << 20},
	{Name: "produce 16 KiB batches", Kind: "raw", Acks: 1, Size: 16 << 10, Window: 32, Bytes: 1536 << 20},
	{Name: "produce 64 KiB batches", Kind: "raw", Acks: 1, Size: 64 << 10, Window: 16, Bytes: 3 << 30},
	{Name: "fetch 16 KiB batches", Kind: "fetch", Size: 16 << 10, Window: 4, Bytes: 2 << 30},
	{Name: "fetch 64 KiB batches", Kind: "fetch", Size: 64 << 10, Window: 4, Bytes: 2 << 30},
	{Name: "produce 1 KiB, no pipelining", Kind: "raw", Acks: 1, Size: 1 << 10, Window: 1, Bytes: 32 << 20},
	{Name: "franz-go acks=all 1 KiB, 3 nodes", Kind: "franz", Acks: -1, Size: 1 << 10, Bytes: 256 << 20, Nodes: 3, RF: 3, NoKfake: true},
}

// runsOn reports whether a row makes sense on a server: the ceiling speaks too little Kafka for a real
// client, and kfake does not replicate.
func (r *row) runsOn(s server) bool {
	switch s.name {
	case "ceiling":
		return r.Kind != "franz"
	case "kfake":
		return !r.NoKfake
	}
	return true
}
