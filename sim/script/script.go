// Package script tells stories: a few commands, what happened after each, as one text file that a
// person can read and a test can check.
//
// A story is paragraphs. One that begins with # is prose. Any other is commands, a line each, then a
// line ---- and the output: what the commands answer, and the events that happened meanwhile, in one
// column for each node. Play runs the commands and returns the text with the output that came.
//
// Before start:
//
//	seed 3
//	cluster brokers=3 voters=3 combined=true …   as in a schedule
//	topic name=t rf=3 partitions=1 min.isr=2 replicas=1,2,3 …
//	show KIND…            which kinds of events to print; none: all but the flow of records
//	only TOPIC/PARTITION  events of that partition, and those of no partition
//	start                 everything up and well; its events are not printed
//
// After it:
//
//	produce t/0 a b c [acks=-1] [to=n1] [for=2s]   one batch; prints its offset or the error
//	fault KIND n1 [PEER] [size=N]                  any kind of a schedule; lasts until heal
//	heal [n1]                                      ends the faults of a host, or all
//	wait 3s
//	wait leader t/0 n2 | isr t/0 1,2 | controller [n1] | well   [for=60s]
//	log t/0                                        the log of each node: value@offset:epoch
//	state t/0                                      leader and ISR in the newest metadata
package script

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/sim"
)

// blank is what is between paragraphs.
var blank = regexp.MustCompile(`\n\n+`)

// separator is between commands and output.
const separator = "----"

// story is one script being played.
type story struct {
	text  strings.Builder // the schedule, until start
	stage *sim.Stage
	out   bytes.Buffer
	show  []string
	only  string
	trace *sim.TextTracer
	mute  bool
}

// Play runs a story and returns it with the output that came. An error is about the story itself; what
// goes wrong in the cluster is output.
func Play(text string) (string, error) {
	s := &story{mute: true}
	s.text.WriteString("scenario script\nseed 1\nfor 1s\nsettle 60s\n")
	var paragraphs []string
	for i, paragraph := range blank.Split(strings.TrimSpace(text), -1) {
		played, err := s.playParagraph(paragraph)
		if err != nil {
			return "", fmt.Errorf("script: paragraph %d: %w", i+1, err)
		}
		paragraphs = append(paragraphs, played)
	}
	return strings.Join(paragraphs, "\n\n") + "\n", nil
}

func (s *story) playParagraph(paragraph string) (string, error) {
	if strings.HasPrefix(paragraph, "#") {
		return paragraph, nil
	}
	commands, _, _ := strings.Cut(paragraph, "\n"+separator)
	s.out.Reset()
	for _, line := range strings.Split(commands, "\n") {
		if err := s.command(strings.Fields(line)); err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
	}
	return strings.TrimRight(commands+"\n"+separator+"\n"+s.out.String(), "\n"), nil
}

func (s *story) command(words []string) error {
	if len(words) == 0 {
		return nil
	}
	verb, args := words[0], words[1:]
	switch verb {
	case "seed", "cluster", "topic":
		s.text.WriteString(strings.Join(words, " ") + "\n")
		return nil
	case "show":
		s.show = args
		return nil
	case "only":
		p, err := parsePartition(strings.Join(args, ""))
		s.only = p.String()
		return err
	case "start":
		return s.start()
	}
	if s.stage == nil {
		return errors.New("the cluster was not started")
	}
	return s.act(verb, args)
}

func (s *story) start() error {
	schedule, err := sim.ParseSchedule(s.text.String())
	if err != nil {
		return err
	}
	s.trace = sim.NewTextTracer(&s.out, schedule)
	s.trace.Keep = s.keep
	if s.stage, err = sim.NewStage(schedule, s.trace); err != nil {
		return err
	}
	s.tell(s.stage.Start())
	s.mute = false
	return nil
}

// keep chooses the events that are printed.
func (s *story) keep(e *sim.Entry) bool {
	switch {
	case s.mute || s.only != "" && e.Partition != "" && e.Partition != s.only:
		return false
	case len(s.show) > 0:
		return slices.Contains(s.show, e.Kind)
	}
	return sim.IsNews(e)
}

// tell prints what went wrong.
func (s *story) tell(err error) {
	if err != nil {
		fmt.Fprintf(&s.out, "error: %v\n", err)
	}
}

// act runs a command on the stage.
func (s *story) act(verb string, args []string) error {
	args, options := splitOptions(args)
	switch verb {
	case "produce":
		return s.produce(args, options)
	case "fault":
		return s.fault(args, options)
	case "heal":
		s.tell(s.stage.Heal(strings.Join(args, "")))
		return nil
	case "wait":
		return s.wait(args, options)
	case "log", "state":
		p, err := parsePartition(strings.Join(args, ""))
		if err == nil {
			s.describe(verb, p)
		}
		return err
	}
	return fmt.Errorf("unknown command %q", verb)
}

// splitOptions takes the key=value words out.
func splitOptions(words []string) (args []string, options map[string]string) {
	options = map[string]string{}
	for _, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok {
			options[key] = value
		} else {
			args = append(args, w)
		}
	}
	return args, options
}

func parsePartition(s string) (event.Partition, error) {
	topic, index, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(index)
	if !ok || err != nil {
		return event.Partition{}, fmt.Errorf("%q is not TOPIC/PARTITION", s)
	}
	return event.Partition{Topic: topic, Index: int32(n)}, nil
}

func parseNode(s string) (int32, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "n"))
	if err != nil {
		return 0, fmt.Errorf("%q is no node", s)
	}
	return int32(n), nil
}

func duration(options map[string]string, otherwise time.Duration) (time.Duration, error) {
	if text, ok := options["for"]; ok {
		return time.ParseDuration(text)
	}
	return otherwise, nil
}

func (s *story) produce(args []string, options map[string]string) (err error) {
	if len(args) < 2 {
		return errors.New("produce TOPIC/PARTITION VALUE…")
	}
	p, err := parsePartition(args[0])
	if err != nil {
		return err
	}
	d, err := duration(options, 2*time.Second)
	if err != nil {
		return err
	}
	acks, node := int64(-1), int32(0)
	if text, ok := options["acks"]; ok {
		if acks, err = strconv.ParseInt(strings.Replace(text, "all", "-1", 1), 10, 16); err != nil {
			return err
		}
	}
	if text, ok := options["to"]; ok {
		if node, err = parseNode(text); err != nil {
			return err
		}
	}
	offset, err := s.stage.Produce(p, node, int16(acks), d, args[1:]...)
	if err != nil {
		s.tell(err)
		return nil
	}
	fmt.Fprintf(&s.out, "offset %d\n", offset)
	return nil
}

func (s *story) fault(args []string, options map[string]string) error {
	if len(args) < 2 {
		return errors.New("fault KIND TARGET [PEER]")
	}
	kind, err := sim.ParseKind(args[0])
	if err != nil {
		return err
	}
	f := sim.Fault{Label: strings.Join(args, " "), Kind: kind, Target: args[1]}
	if len(args) > 2 {
		f.Peer = args[2]
	}
	if text, ok := options["size"]; ok {
		if f.Size, err = strconv.ParseInt(text, 10, 64); err != nil {
			return err
		}
	}
	held, err := s.stage.Begin(f)
	if err == nil && !held && kind != sim.Reset {
		err = errors.New("it did not take hold")
	}
	s.tell(err)
	return nil
}

func (s *story) wait(args []string, options map[string]string) error {
	if len(args) == 1 {
		if d, err := time.ParseDuration(args[0]); err == nil {
			s.tell(s.stage.Run(d))
			return nil
		}
	}
	d, err := duration(options, time.Minute)
	if err != nil {
		return err
	}
	holds, err := condition(args)
	if err != nil {
		return err
	}
	s.tell(s.stage.WaitFor(strings.Join(args, " "), d, holds))
	return nil
}

func condition(args []string) (func(*sim.Cluster) bool, error) {
	switch {
	case len(args) == 1 && args[0] == "well":
		return sim.IsWell, nil
	case len(args) == 1 && args[0] == "controller":
		return sim.ControllerIs(0), nil
	case len(args) == 2 && args[0] == "controller":
		node, err := parseNode(args[1])
		return sim.ControllerIs(node), err
	case len(args) == 3 && args[0] == "leader":
		p, err := parsePartition(args[1])
		node, err2 := parseNode(args[2])
		return sim.LeaderIs(p, node), errors.Join(err, err2)
	case len(args) == 3 && args[0] == "isr":
		p, err := parsePartition(args[1])
		ids, err2 := parseIDs(args[2])
		return sim.ISRIs(p, ids...), errors.Join(err, err2)
	}
	return nil, errors.New("wait DURATION | leader T/P NODE | isr T/P IDS | controller [NODE] | well")
}

func parseIDs(s string) (ids []int32, err error) {
	for _, word := range strings.Split(s, ",") {
		id, e := parseNode(word)
		ids, err = append(ids, id), errors.Join(err, e)
	}
	return ids, err
}

func (s *story) describe(verb string, p event.Partition) {
	if verb == "state" {
		fmt.Fprintln(&s.out, s.stage.Partition(p))
		return
	}
	for _, line := range s.stage.Log(p) {
		fmt.Fprintln(&s.out, line)
	}
}
