package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// check finds what cannot be run, or would not mean what its writer meant.
func (s *Schedule) check() error {
	o := &s.Options
	for _, check := range []func() error{o.Cluster.check, o.checkSigns, o.checkTopics, o.checkClients, o.checkGroups, o.checkTransactions, s.checkFaults} {
		if err := check(); err != nil {
			return fmt.Errorf("schedule: %w", err)
		}
	}
	return nil
}

func (c *ClusterOptions) check() error {
	switch {
	case c.Brokers < 1 || c.Brokers > 9:
		return errors.New("1 to 9 brokers")
	case c.Voters < 1 || c.Voters > 9 || c.Combined && c.Voters > c.Brokers:
		return errors.New("1 to 9 voters, of combined nodes no more than brokers")
	case c.Controllers != 0 && (c.Controllers < c.Voters || c.Controllers > 9 || c.Combined && c.Controllers > c.Brokers):
		return errors.New("no controllers, for static voters, or as many as there are voters up to 9, of combined nodes no more than brokers")
	case c.LogDirs > 4:
		return errors.New("cluster: log.dirs is above 4")
	case c.SnapshotBytes < 1:
		return errors.New("cluster: snapshot.bytes is not above zero")
	case c.AutoRebalance < time.Second:
		return errors.New("cluster: rebalance is below a second")
	}
	for _, f := range []field{{"session", &c.Session}, {"heartbeat", &c.Heartbeat}, {"lag", &c.ReplicaLag}, {"dial.timeout", &c.DialTimeout}, {"request.timeout", &c.RequestTimeout}} {
		if *f.at.(*time.Duration) < time.Millisecond {
			return fmt.Errorf("cluster: %s is below a millisecond", f.key)
		}
	}
	return nil
}

// checkSigns finds what is negative and may not be: anything but acks.
func (o *Options) checkSigns() error {
	if o.For <= 0 {
		return errors.New("no duration: for is not above zero")
	}
	if o.Settle < 0 {
		return errors.New("settle is negative")
	}
	for n := range o.lines() {
		for _, f := range o.line(n) {
			if f.key != "acks" && strings.HasPrefix(formatValue(f.at), "-") {
				return fmt.Errorf("%s=%s is negative", f.key, formatValue(f.at))
			}
		}
	}
	return nil
}

func (o *Options) checkTopics() error {
	if len(o.Topics) == 0 && len(o.Producers)+len(o.Consumers)+len(o.Groups)+len(o.Txns) > 0 {
		return errors.New("clients and no topic")
	}
	for _, t := range o.topicPointers() {
		switch {
		case t.RF < 1 || t.RF > o.Cluster.Brokers || t.Partitions < 1 || t.Name == "":
			return fmt.Errorf("topic %q cannot be placed", t.Name)
		case t.MinISR < 1:
			return fmt.Errorf("topic %s: min.isr is not above zero", t.Name)
		case o.topic(t.Name) != t:
			return fmt.Errorf("two topics are called %s", t.Name)
		}
		if err := t.checkReplicas(o.Cluster.Brokers); err != nil {
			return fmt.Errorf("topic %s: replicas: %w", t.Name, err)
		}
	}
	return nil
}

// checkReplicas finds an assignment that no controller would take.
func (t *TopicOptions) checkReplicas(brokers int) error {
	if t.Replicas == "" {
		return nil
	}
	partitions := strings.Split(t.Replicas, "/")
	if len(partitions) != t.Partitions {
		return fmt.Errorf("they are of %s, not of %d", Count(len(partitions), "partition"), t.Partitions)
	}
	for _, replicas := range partitions {
		ids := strings.Split(replicas, ",")
		for i, text := range ids {
			if id, err := strconv.Atoi(text); err != nil || id < 1 || id > brokers || slices.Contains(ids[:i], text) {
				return fmt.Errorf("%q is not one more broker", text)
			}
		}
	}
	return nil
}

func (o *Options) checkClients() error {
	for i := range o.Producers {
		if err := o.Producers[i].check(); err != nil {
			return fmt.Errorf("producer %d: %w", i, err)
		}
	}
	for i := range o.Consumers {
		if err := checkVersion(kmsg.Fetch, o.Consumers[i].Version); err != nil {
			return fmt.Errorf("consumer %d: %w", i, err)
		}
	}
	return nil
}

func (p *ProducerOptions) check() error {
	if _, err := parseOperations(p.Keep); err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	switch {
	case p.Acks < -1 || p.Acks > 1:
		return fmt.Errorf("acks=%d is not -1, 0 or 1", p.Acks)
	case p.Idempotent && p.Acks != -1:
		return errors.New("idempotent needs acks=-1")
	case p.Interval <= 0:
		return errors.New("interval is not above zero")
	case p.Records < 1:
		return errors.New("records is not above zero")
	}
	return checkVersion(kmsg.Produce, p.Version)
}

// checkVersion finds versions of an API that brokers do not speak.
func checkVersion(key kmsg.Key, version int) error {
	if api, _ := wire.Lookup(key.Int16()); version < int(api.Min) || version > int(api.Max) {
		return fmt.Errorf("version=%d is not one of %s, %d to %d", version, api.Name, api.Min, api.Max)
	}
	return nil
}

func (s *Schedule) checkFaults() error {
	labels := map[string]bool{}
	for i := range s.Faults {
		f := &s.Faults[i]
		if err := f.check(&s.Options); err != nil {
			return fmt.Errorf("fault %s: %w", f.Label, err)
		}
		if labels[f.Label] {
			return fmt.Errorf("two faults are labelled %q: what each draws hangs on its label", f.Label)
		}
		labels[f.Label] = true
	}
	return nil
}
