package main

import (
	"fmt"
	"os"

	"github.com/lockstep/lockstep/interop/differential"
)

const knownDifferences = "differential/known.txt"

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
