package main

import (
	"fmt"
	"os"

	"github.com/lockstep/lockstep/interop/differential"
)

const knownDifferences = "differential/known.txt"

// comparedSettings undo what --dev sets for people in a hurry, and set what kafkaProperties does.
var comparedSettings = []string{
	"broker.heartbeat.interval.ms=2000",
	"broker.session.timeout.ms=9000",
	"controller.quorum.election.backoff.max.ms=1000",
	"controller.quorum.election.timeout.ms=1000",
	"controller.quorum.fetch.timeout.ms=2000",
	"group.initial.rebalance.delay.ms=0",
	"offsets.topic.replication.factor=1",
	"transaction.state.log.replication.factor=1",
	"transaction.state.log.min.isr=1",
}

// compareTo tells where lockstepd answers differently from a Kafka, and returns how many differences nobody has explained.
func compareTo(kafka, lockstepd, only string) (unexplained int, found []differential.Difference, err error) {
	known, err := differential.ReadKnown(knownDifferences)
	if err != nil {
		return 0, nil, err
	}
	o := differential.Options{Kafka: kafka, Lockstep: lockstepd, Only: only, Known: known, Progress: func(s string) { fmt.Fprintln(os.Stderr, s) }}
	asked, found, err := differential.Run(o)
	if err != nil {
		return 0, nil, err
	}
	for _, d := range found {
		if d.Reason == "" {
			unexplained++
			fmt.Println(d)
		}
	}
	fmt.Printf("differential: %d answers compared, %d differences that are known, %d that are not\n", asked, len(found)-unexplained, unexplained)
	return unexplained, found, nil
}
