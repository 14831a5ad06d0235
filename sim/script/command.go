package script

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/sim"
	"github.com/twmb/franz-go/pkg/kerr"
)

// act runs a command on the stage.
func (s *story) act(verb string, args []string) error {
	args, options := splitOptions(args)
	switch verb {
	case "produce":
		return s.produce(args, options)
	case "fetch":
		return s.fetch(args, options)
	case "fault":
		return s.fault(args, options)
	case "heal":
		s.tell(s.stage.Heal(strings.Join(args, " ")))
		return nil
	case "wait":
		return s.wait(args, options)
	}
	return s.describe(verb, args)
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

func parseIDs(s string) (ids []int32, err error) {
	for _, word := range strings.Split(s, ",") {
		id, e := parseNode(word)
		ids, err = append(ids, id), errors.Join(err, e)
	}
	return ids, err
}

func parseAcks(options map[string]string) (int16, error) {
	switch text := options["acks"]; text {
	case "", "all":
		return -1, nil
	default:
		acks, err := strconv.ParseInt(text, 10, 16)
		return int16(acks), err
	}
}

// destination is the node of to=, 0 if it is not said: the leader.
func destination(options map[string]string) (int32, error) {
	if text, ok := options["to"]; ok {
		return parseNode(text)
	}
	return 0, nil
}

func duration(options map[string]string, otherwise time.Duration) (time.Duration, error) {
	if text, ok := options["for"]; ok {
		return time.ParseDuration(text)
	}
	return otherwise, nil
}

// nameOf is an error as a client knows it.
func nameOf(err error) string {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return strings.TrimPrefix(err.Error(), "sim: ")
}

func (s *story) produce(args []string, options map[string]string) error {
	if len(args) < 2 {
		return errors.New("produce TOPIC/PARTITION VALUE…")
	}
	p, err := parsePartition(args[0])
	acks, err2 := parseAcks(options)
	to, err3 := destination(options)
	d, err4 := duration(options, 2*time.Second)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return err
	}
	offset, err := s.stage.Produce(p, to, acks, d, args[1:]...)
	result := fmt.Sprintf("offset %d", offset)
	if err != nil {
		result = nameOf(err)
	}
	s.answer(strings.Join(args[1:], " ") + ": " + result)
	return nil
}

func (s *story) fetch(args []string, options map[string]string) error {
	p, err := parsePartition(strings.Join(args, ""))
	from, err2 := destination(options)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	values, err := s.stage.Fetch(p, from)
	if err != nil {
		s.tell(err)
		return nil
	}
	s.answer("consumed: " + strings.Join(values, " "))
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
	if kind == sim.PowerLoss {
		f.Size = 1
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
	holds, err2 := condition(args)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	s.tell(s.stage.WaitFor(strings.Join(args, " "), d, holds))
	return nil
}

func condition(args []string) (func(*sim.Cluster) bool, error) {
	args = append(args, "", "", "")
	switch what := args[0]; {
	case what == "well":
		return sim.IsWell, nil
	case what == "controller" && args[1] == "":
		return sim.ControllerIs(0), nil
	case what == "controller":
		node, err := parseNode(args[1])
		return sim.ControllerIs(node), err
	case what == "voter":
		node, err := parseNode(args[1])
		return sim.VoterIs(node, args[2]), err
	case what == "leader" || what == "isr":
		p, err := parsePartition(args[1])
		ids, err2 := parseIDs(args[2])
		if what == "isr" {
			return sim.ISRIs(p, ids...), errors.Join(err, err2)
		}
		return sim.LeaderIs(p, ids[0]), errors.Join(err, err2)
	}
	return nil, errors.New("wait DURATION | leader T/P NODE | isr T/P IDS | controller [NODE] | voter NODE ROLE | well")
}

// describe prints how things are.
func (s *story) describe(verb string, args []string) error {
	if verb == "quorum" {
		s.list(s.stage.Quorum())
		return nil
	}
	if verb != "log" && verb != "state" {
		return fmt.Errorf("unknown command %q", verb)
	}
	p, err := parsePartition(strings.Join(args, ""))
	if err != nil {
		return err
	}
	if verb == "state" {
		s.answer(p.String() + ": " + s.stage.Partition(p))
		return nil
	}
	s.list(s.stage.Log(p))
	return nil
}

func (s *story) list(lines []string) {
	for _, line := range lines {
		s.answer(line)
	}
}
