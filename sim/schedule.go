package sim

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule is all that decides a run. As text it outlives changes of whatever drew it.
type Schedule struct {
	Build    string
	Scenario string // a word on where it comes from
	Seed     uint64
	Options  Options
	Faults   []Fault // by time
}

// String is the schedule as text, which ParseSchedule reads.
func (s *Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "build %s\nscenario %s\nseed %d\n", s.Build, s.Scenario, s.Seed)
	o := &s.Options
	fmt.Fprintf(&b, "for %s\nsettle %s\nunbounded %t\n", o.For, o.Settle, o.Unbounded)
	fmt.Fprintf(&b, "cluster %s\n", formatFields(o.Cluster.fields()))
	if len(o.Buggify) > 0 {
		fmt.Fprintf(&b, "buggify %s\n", formatBuggify(o.Buggify))
	}
	for i := range o.Topics {
		fmt.Fprintf(&b, "topic %s\n", formatFields(o.Topics[i].fields()))
	}
	for i := range o.Producers {
		fmt.Fprintf(&b, "producer %s\n", formatFields(o.Producers[i].fields()))
	}
	for i := range o.Consumers {
		fmt.Fprintf(&b, "consumer %s\n", formatFields(newAreGiven(o.Consumers[i].fields(), "committed")))
	}
	if len(o.Groups) > 0 {
		fmt.Fprintf(&b, "offsets %s\n", formatFields(given(o.Offsets.fields()[1:])))
	}
	for i := range o.Groups {
		fmt.Fprintf(&b, "group %s\n", formatFields(newAreGiven(o.Groups[i].fields(), "into")))
	}
	if o.hasTransactions() {
		fmt.Fprintf(&b, "transactions %s\n", formatFields(given(o.Transactions.fields())))
	}
	for i := range o.Txns {
		fmt.Fprintf(&b, "txn %s\n", formatFields(o.Txns[i].fields()))
	}
	for i := range s.Faults {
		fmt.Fprintf(&b, "fault %s\n", formatFields(given(s.Faults[i].fields())))
	}
	return b.String()
}

// ParseSchedule reads a schedule. Empty lines and those that start with # mean nothing.
func ParseSchedule(text string) (*Schedule, error) {
	s := &Schedule{Options: Options{Cluster: defaultCluster()}}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := s.parseLine(words[0], words[1:]); err != nil {
			return nil, fmt.Errorf("schedule, line %d: %w", n, err)
		}
	}
	return s, s.check()
}

func (s *Schedule) parseLine(verb string, words []string) (err error) {
	o := &s.Options
	switch verb {
	case "cluster":
		return parseFields(words, o.Cluster.fields())
	case "buggify":
		o.Buggify, err = parseBuggify(words)
		return err
	case "topic":
		o.Topics = append(o.Topics, TopicOptions{})
		return parseFields(words, o.Topics[len(o.Topics)-1].fields())
	case "producer":
		o.Producers = append(o.Producers, plainProducer())
		return parseFields(words, o.Producers[len(o.Producers)-1].fields())
	case "consumer":
		o.Consumers = append(o.Consumers, plainConsumer())
		return parseFields(words, o.Consumers[len(o.Consumers)-1].fields())
	case "offsets":
		o.Offsets = plainOffsets()
		return parseFields(words, o.Offsets.fields()[1:])
	case "group":
		o.Groups = append(o.Groups, plainGroup())
		return parseFields(words, o.Groups[len(o.Groups)-1].fields())
	case "transactions":
		o.Transactions = plainTransactions()
		return parseFields(words, o.Transactions.fields())
	case "txn":
		o.Txns = append(o.Txns, plainTxn())
		return parseFields(words, o.Txns[len(o.Txns)-1].fields())
	case "fault":
		s.Faults = append(s.Faults, Fault{Kind: numKinds}) // the line has to say which
		return parseFields(words, s.Faults[len(s.Faults)-1].fields())
	}
	if len(words) != 1 {
		return fmt.Errorf("%q takes one value", verb)
	}
	return s.parseScalar(verb, words[0])
}

func (s *Schedule) parseScalar(verb, value string) (err error) {
	switch verb {
	case "build":
		s.Build = value
	case "scenario":
		s.Scenario = value
	case "seed":
		s.Seed, err = strconv.ParseUint(value, 10, 64)
	case "for":
		s.Options.For, err = time.ParseDuration(value)
	case "unbounded":
		s.Options.Unbounded, err = strconv.ParseBool(value)
	case "settle":
		s.Options.Settle, err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("unknown line %q", verb)
	}
	return err
}
