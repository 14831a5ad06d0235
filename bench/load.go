package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "bench"

// load runs one job and prints its result.
func load(arg string) {
	var j job
	if err := json.Unmarshal([]byte(arg), &j); err != nil {
		log.Fatal(err)
	}
	if !j.Ceiling {
		createTopic(j)
	}
	var r loadResult
	switch j.Row.Kind {
	case "franz":
		r = franzProduce(j)
	case "raw":
		r = rawProduce(j)
	case "fetch":
		r = rawFetch(j)
	}
	json.NewEncoder(os.Stdout).Encode(r)
}

func createTopic(j job) {
	client, err := kgo.NewClient(kgo.SeedBrokers(j.Addr))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	_, _ = admin.CreateTopic(context.Background(), 1, int16(max(j.Row.RF, 1)), nil, topic) // it may exist; what counts is the wait below
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ends, err := admin.ListEndOffsets(context.Background(), topic)
		if end, ok := ends.Lookup(topic, 0); err == nil && ok && end.Err == nil {
			return // its leader answers
		}
	}
	log.Fatal("load: the topic got no leader")
}

// franzProduce is a stock producer with its default batching and compression off.
func franzProduce(j job) loadResult {
	options := []kgo.Opt{kgo.SeedBrokers(j.Addr), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(50_000)}
	if j.Row.Acks == 1 {
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	value := make([]byte, j.Row.Size)
	count := j.Row.Bytes / int64(j.Row.Size)
	var failed atomic.Int64
	began := time.Now()
	for range count {
		client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	if err := client.Flush(context.Background()); err != nil || failed.Load() > 0 {
		log.Fatalf("load: %d records failed, %v", failed.Load(), err)
	}
	return loadResult{time.Since(began).Seconds(), count * int64(j.Row.Size), count}
}

// rawConn is a connection on which requests are written ahead by one goroutine and answers counted by
// another, with a window between them.
type rawConn struct {
	net.Conn
	window chan struct{}
}

func dial(j job) *rawConn {
	c, err := net.Dial("tcp", j.Addr)
	if err != nil {
		log.Fatal(err)
	}
	return &rawConn{c, make(chan struct{}, j.Row.Window)}
}

func rawProduce(j job) loadResult {
	frame, perBatch := produceFrame(j.Row)
	count := j.Row.Bytes / perBatch
	c := dial(j)
	began := time.Now()
	go func() {
		w := bufio.NewWriterSize(c, 256<<10)
		for i := range count {
			select {
			case c.window <- struct{}{}:
			default:
				if w.Flush() != nil {
					return
				}
				c.window <- struct{}{}
			}
			w.Write(frame)
			if i == count-1 {
				w.Flush()
			}
		}
	}()
	r := bufio.NewReaderSize(c, 256<<10)
	for range count {
		answer := readAnswer(r)
		if !j.Ceiling {
			checkProduced(answer)
		}
		<-c.window
	}
	return loadResult{time.Since(began).Seconds(), count * perBatch, count}
}

func readAnswer(r *bufio.Reader) []byte {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		log.Fatalf("load: %v", err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r, answer); err != nil {
		log.Fatalf("load: %v", err)
	}
	return answer
}

// rawFetch reads the log from its start, up to 1 MiB an answer. The offsets of the requests are known
// beforehand, since all batches are alike; so several requests can be under way, as with a client that
// fetches several partitions.
func rawFetch(j job) loadResult {
	batchBytes := int64(len(rawBatch(j.Row.Size)))
	perAnswer := ceilingFetchBytes / batchBytes // whole batches of one answer
	answers := j.Row.Bytes / (perAnswer * batchBytes)
	c := dial(j)
	began := time.Now()
	go func() {
		for i := range answers {
			c.window <- struct{}{}
			at := i * perAnswer * recordsIn(j.Row.Size)
			if j.Ceiling {
				at = i * perAnswer * batchBytes
			}
			if _, err := c.Write(fetchFrame(at, int32(perAnswer*batchBytes))); err != nil {
				return
			}
		}
	}()
	var total int64
	r := bufio.NewReaderSize(c, 256<<10)
	for range answers {
		n := skipAnswer(r)
		if n < perAnswer*batchBytes {
			log.Fatalf("load: an answer of %d bytes, not %d", n, perAnswer*batchBytes)
		}
		total += perAnswer * batchBytes
		<-c.window
	}
	return loadResult{time.Since(began).Seconds(), total, answers}
}

func skipAnswer(r *bufio.Reader) int64 {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		log.Fatalf("load: %v", err)
	}
	n := int64(binary.BigEndian.Uint32(size[:]))
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		log.Fatal(err)
	}
	return n
}

func checkProduced(answer []byte) {
	if code := int16(binary.BigEndian.Uint16(answer[rawErrorAt:])); code != 0 {
		log.Fatalf("load: produce failed with error %d", code)
	}
}

func init() { log.SetPrefix(fmt.Sprintf("bench %d: ", os.Getpid())) }
