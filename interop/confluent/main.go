// Command confluent tries confluent-kafka-go, which is librdkafka in Go: features come as arguments, verdicts go to standard output (see ../script.go).
//
// It is a module of its own, for it needs a C compiler.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

const patience = time.Minute

var (
	bootstrap   = os.Getenv("BOOTSTRAP")
	replicas, _ = strconv.Atoi(os.Getenv("REPLICAS"))
	names       int
)

var features = map[string]func(){
	"produce and consume":      codecs,
	"idempotent producer":      idempotent,
	"offset by timestamp":      byTimestamp,
	"classic group":            func() { group(config{}) },
	"cooperative group":        func() { group(config{"partition.assignment.strategy": "cooperative-sticky"}) },
	"consumer group (KIP-848)": func() { group(config{"group.protocol": "consumer"}) },
	"transactions":             transactions,
	"exactly once":             exactlyOnce,
	"topic administration":     topics,
	"configuration":            configs,
	"delete records":           deleteRecords,
	"group administration":     groups,
	"cluster description":      describeCluster,
}

func main() {
	for _, f := range os.Args[1:] {
		verdict := make(chan string, 1)
		go func() { verdict <- try(f) }()
		select {
		case v := <-verdict:
			fmt.Println(v)
		case <-time.After(patience):
			fmt.Printf("fail %s: no end after %v\n", f, patience)
		}
	}
}

// try is the verdict about a feature, whose helpers panic with what went wrong.
func try(feature string) (verdict string) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", p, debug.Stack())
			verdict = fmt.Sprintf("fail %s: %v", feature, p)
		}
	}()
	features[feature]()
	return "pass " + feature
}

// name gives a name that no other run and no other suite uses.
func name(what string) string {
	names++
	return fmt.Sprintf("%s-confluent-go-%s-%d", what, os.Getenv("RUN"), names)
}

func check(got, want any, what string) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		panic(fmt.Sprintf("%s: %v, not %v", what, got, want))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func value[T any](v T, err error) T {
	must(err)
	return v
}

// await asks until the answer is yes.
func await(what string, yes func() bool) {
	for deadline := time.Now().Add(patience / 2); !yes(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("in vain: " + what)
		}
	}
}
