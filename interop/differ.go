package main

import (
	"fmt"
	"os"

	"github.com/lockstep/lockstep/interop/differential"
)

const knownDifferences = "differential/known.txt"

// compareTo tells where lockstepd answers differently from a Kafka, and returns how many differences nobody has explained.
func compareTo(kafka, lockstepd string, o differential.Options) (unexplained int, found []differential.Difference, err error) {
	known, err := differential.ReadKnown(knownDifferences)
	if err != nil {
		return 0, nil, err
	}
	o.Kafka, o.Lockstep, o.Known = kafka, lockstepd, known
	o.Progress = func(s string) { fmt.Fprintln(os.Stderr, s) }
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
	if o.Only == "" {
		for _, rule := range known.Unused() {
			fmt.Println("known, and not seen:", rule)
		}
	}
	fmt.Printf("differential: %d answers compared, %d differences that are known, %d that are not\n", asked, len(found)-unexplained, unexplained)
	return unexplained, found, nil
}
