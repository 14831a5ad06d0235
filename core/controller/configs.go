package controller

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// The topic configs that the controller itself obeys.
const (
	keyMinInsyncReplicas = "min.insync.replicas"
	keyUncleanElection   = "unclean.leader.election.enable"
)

// configOp is one change of one key. value is nil for DELETE.
type configOp struct {
	key   string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

// IncrementalAlterConfigs changes configs of topics and brokers (KIP-339). A resource changes as a
// whole or not at all.
func (c *Controller) IncrementalAlterConfigs(req *kmsg.IncrementalAlterConfigsRequest, done func(*kmsg.IncrementalAlterConfigsResponse)) {
	failed := func(err *kerr.Error) *kmsg.IncrementalAlterConfigsResponse {
		resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
		for _, r := range req.Resources {
			resp.Resources = append(resp.Resources, incrementalResult(r, refuse(err, err.Description)))
		}
		return resp
	}
	if !c.Active() {
		done(failed(kerr.NotController))
		return
	}
	var a configChanges
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	for _, r := range req.Resources {
		key := metadata.ResourceKey{Type: int8(r.ResourceType), Name: r.ResourceName}
		f := c.changeConfigs(&a, key, incrementalOps(r.Configs), false)
		resp.Resources = append(resp.Resources, incrementalResult(r, f))
	}
	writeConfigs(c, &a, req.ValidateOnly, resp, failed, done)
}

func incrementalOps(configs []kmsg.IncrementalAlterConfigsRequestResourceConfig) []configOp {
	ops := make([]configOp, len(configs))
	for n, e := range configs {
		ops[n] = configOp{e.Name, e.Op, e.Value}
	}
	return ops
}

func incrementalResult(r kmsg.IncrementalAlterConfigsRequestResource, f *fault) kmsg.IncrementalAlterConfigsResponseResource {
	rr := kmsg.NewIncrementalAlterConfigsResponseResource()
	rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
	if f != nil {
		rr.ErrorCode, rr.ErrorMessage = f.err.Code, &f.message
	}
	return rr
}

// AlterConfigs replaces all configs of a resource: what is not named is deleted.
func (c *Controller) AlterConfigs(req *kmsg.AlterConfigsRequest, done func(*kmsg.AlterConfigsResponse)) {
	failed := func(err *kerr.Error) *kmsg.AlterConfigsResponse {
		resp := kmsg.NewPtrAlterConfigsResponse()
		for _, r := range req.Resources {
			resp.Resources = append(resp.Resources, alterResult(r, refuse(err, err.Description)))
		}
		return resp
	}
	if !c.Active() {
		done(failed(kerr.NotController))
		return
	}
	var a configChanges
	resp := kmsg.NewPtrAlterConfigsResponse()
	for _, r := range req.Resources {
		key := metadata.ResourceKey{Type: int8(r.ResourceType), Name: r.ResourceName}
		f := c.changeConfigs(&a, key, c.replacingOps(key, r.Configs), false)
		resp.Resources = append(resp.Resources, alterResult(r, f))
	}
	writeConfigs(c, &a, req.ValidateOnly, resp, failed, done)
}

// replacingOps sets what is named and deletes what is not.
func (c *Controller) replacingOps(key metadata.ResourceKey, configs []kmsg.AlterConfigsRequestResourceConfig) []configOp {
	var ops []configOp
	for _, e := range configs {
		op := kmsg.IncrementalAlterConfigOpSet
		if e.Value == nil {
			op = kmsg.IncrementalAlterConfigOpDelete
		}
		ops = append(ops, configOp{e.Name, op, e.Value})
	}
	for _, e := range c.img.Config(key.Type, key.Name) {
		if !slices.ContainsFunc(configs, func(n kmsg.AlterConfigsRequestResourceConfig) bool { return n.Name == e.Key }) {
			ops = append(ops, configOp{e.Key, kmsg.IncrementalAlterConfigOpDelete, nil})
		}
	}
	return ops
}

func alterResult(r kmsg.AlterConfigsRequestResource, f *fault) kmsg.AlterConfigsResponseResource {
	rr := kmsg.NewAlterConfigsResponseResource()
	rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
	if f != nil {
		rr.ErrorCode, rr.ErrorMessage = f.err.Code, &f.message
	}
	return rr
}

// creationConfigs are the records of a new topic's configs.
func (c *Controller) creationConfigs(t *kmsg.CreateTopicsRequestTopic) ([]metadata.Record, *fault) {
	ops := make([]configOp, 0, len(t.Configs))
	for _, e := range t.Configs {
		if e.Value == nil {
			return nil, refuse(kerr.InvalidConfig, "null value not supported for topic config: "+e.Name)
		}
		ops = append(ops, configOp{e.Name, kmsg.IncrementalAlterConfigOpSet, e.Value})
	}
	var a configChanges
	if f := c.changeConfigs(&a, metadata.ResourceKey{Type: metadata.ResourceTopic, Name: t.Topic}, ops, true); f != nil {
		return nil, f
	}
	return a.records, nil
}

// configChanges collects the records of a request that changes configs.
type configChanges struct {
	records  []metadata.Record
	resolved map[metadata.ResourceKey]bool // resources named so far
}

// changeConfigs adds one resource's changes, or says why they are refused.
func (c *Controller) changeConfigs(a *configChanges, key metadata.ResourceKey, ops []configOp, isNew bool) *fault {
	if a.resolved[key] {
		return refuse(kerr.InvalidRequest, "each resource must appear at most once")
	}
	if a.resolved == nil {
		a.resolved = map[metadata.ResourceKey]bool{}
	}
	a.resolved[key] = true
	if f := c.checkResource(key, isNew); f != nil {
		return f
	}
	slices.SortStableFunc(ops, func(x, y configOp) int { return cmp.Compare(x.key, y.key) })
	var records []metadata.Record
	for n, o := range ops {
		if n > 0 && ops[n-1].key == o.key {
			return refuse(kerr.InvalidRequest, "each config must appear at most once: "+o.key)
		}
		r, f := c.changeConfig(key, o)
		if f != nil {
			return f
		}
		if r != nil {
			records = append(records, r)
		}
	}
	a.records = append(a.records, records...)
	return nil
}

func (c *Controller) checkResource(key metadata.ResourceKey, isNew bool) *fault {
	switch key.Type {
	case metadata.ResourceTopic:
		if !isNew && c.img.Topic(key.Name) == nil {
			return refuse(kerr.UnknownTopicOrPartition, "the topic '"+key.Name+"' does not exist")
		}
		return nil
	case metadata.ResourceBroker:
		if id, err := strconv.ParseInt(key.Name, 10, 32); key.Name != "" && (err != nil || id < 0) {
			return refuse(kerr.InvalidRequest, "a broker resource is a broker id, or empty for all brokers")
		}
		return nil
	}
	return refuse(kerr.InvalidRequest, "configs of this resource type cannot be altered")
}

// maxConfigValue is the longest value a ConfigRecord may hold.
const maxConfigValue = 32767

// changeConfig returns the record of one change; nil if nothing changes. A broker's configs are
// written even so: it makes the broker load files anew (KAFKA-14136).
func (c *Controller) changeConfig(key metadata.ResourceKey, o configOp) (metadata.Record, *fault) {
	value, f := c.newValue(key, o)
	if f != nil {
		return nil, f
	}
	if f := c.checkMinISRChange(key, o.key, value); f != nil {
		return nil, f
	}
	if value != nil {
		if len(*value) > maxConfigValue {
			return nil, refuse(kerr.InvalidConfig, "the value of "+o.key+" is too long")
		}
		if err := c.validate(key, o.key, *value); err != nil {
			return nil, refuse(kerr.InvalidConfig, err.Error())
		}
	}
	old, isSet := c.img.ConfigValue(key.Type, key.Name, o.key)
	same := isSet == (value != nil) && (value == nil || *value == old)
	if same && key.Type != metadata.ResourceBroker {
		return nil, nil
	}
	return &metadata.ConfigRecord{ResourceType: key.Type, ResourceName: key.Name, Name: o.key, Value: value}, nil
}

func (c *Controller) validate(resource metadata.ResourceKey, key, value string) error {
	if c.cfg.ValidateConfig == nil {
		return nil
	}
	return c.cfg.ValidateConfig(resource, key, value)
}

// checkMinISRChange: while ELR is on, who is eligible rests on a min.insync.replicas that is the same
// for all brokers and always there (KIP-966).
func (c *Controller) checkMinISRChange(key metadata.ResourceKey, config string, value *string) *fault {
	if config != keyMinInsyncReplicas || key.Type != metadata.ResourceBroker || !c.elrEnabled() {
		return nil
	}
	if key.Name != "" {
		return refuse(kerr.InvalidConfig, "broker-level min.insync.replicas cannot be altered while ELR is enabled")
	}
	if value == nil {
		return refuse(kerr.InvalidConfig, "cluster-level min.insync.replicas cannot be removed while ELR is enabled")
	}
	return nil
}

// newValue is what a change makes of a key: nil if it is unset.
func (c *Controller) newValue(key metadata.ResourceKey, o configOp) (*string, *fault) {
	switch o.op {
	case kmsg.IncrementalAlterConfigOpDelete:
		return nil, nil
	case kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
	default:
		return nil, refuse(kerr.InvalidRequest, "unknown operation on "+o.key)
	}
	if o.value == nil {
		return nil, refuse(kerr.InvalidRequest, "null value not supported for "+o.key)
	}
	if o.op == kmsg.IncrementalAlterConfigOpSet {
		return o.value, nil
	}
	if c.cfg.IsList == nil || !c.cfg.IsList(key.Type, o.key) {
		return nil, refuse(kerr.InvalidConfig, "cannot append to or subtract from "+o.key+": it is not a list")
	}
	v := alterList(c.currentList(key, o.key), *o.value, o.op == kmsg.IncrementalAlterConfigOpAppend)
	return &v, nil
}

// currentList is the value that APPEND and SUBTRACT start from.
func (c *Controller) currentList(key metadata.ResourceKey, config string) string {
	if v, ok := c.img.ConfigValue(key.Type, key.Name, config); ok {
		return v
	}
	if c.cfg.ConfigDefault != nil {
		return c.cfg.ConfigDefault(key.Type, config)
	}
	return ""
}

// alterList adds to a list what it has not, or takes from it what it has.
func alterList(list, items string, add bool) string {
	var now []string
	if list != "" {
		now = strings.Split(list, ",")
	}
	for item := range strings.SplitSeq(items, ",") {
		at := slices.Index(now, item)
		switch {
		case add && at < 0:
			now = append(now, item)
		case !add && at >= 0:
			now = slices.Delete(now, at, at+1)
		}
	}
	return strings.Join(now, ",")
}

// writeConfigs writes the changes, and elects where unclean election has just been allowed: nothing
// else would happen there until a broker comes.
func writeConfigs[R any](c *Controller, a *configChanges, validateOnly bool, resp R, failed func(*kerr.Error) R, done func(R)) {
	records := c.configRecords(a, validateOnly)
	answer(c, records, resp, failed, done)
	if c.Active() && slices.ContainsFunc(records, allowsUncleanElection) {
		c.electWhere(func(p *metadata.Partition) bool { return p.Leader == metadata.NoLeader })
	}
}

func allowsUncleanElection(r metadata.Record) bool {
	config, ok := r.(*metadata.ConfigRecord)
	return ok && config.Name == keyUncleanElection && config.Value != nil && *config.Value == "true"
}

// configRecords are the changes with what follows from them: another min.insync.replicas empties
// the ELR that rested on the old one (KIP-966).
func (c *Controller) configRecords(a *configChanges, validateOnly bool) []metadata.Record {
	if validateOnly {
		return nil
	}
	records := a.records
	for _, r := range a.records {
		config := r.(*metadata.ConfigRecord)
		if config.Name != keyMinInsyncReplicas || !c.elrEnabled() {
			continue
		}
		clearElr := &metadata.ClearElrRecord{}
		if config.ResourceType == metadata.ResourceTopic {
			clearElr.TopicName = config.ResourceName
		}
		records = append(records, clearElr)
		records = append(records, c.keptElr(clearElr.TopicName)...)
	}
	return records
}

// keptElr are the records that bring back the ELR of partitions whose ISR is empty. Nothing can have been committed without those in
// it, whatever min.insync.replicas is by now, and nobody else may lead: without it the partition would wait for an unclean
// election, as it does in Kafka. An empty name means all topics.
func (c *Controller) keptElr(topic string) (records []metadata.Record) {
	for _, p := range c.withElr(topic) {
		if len(p.ISR) == 0 {
			r := metadata.NewPartitionChange(p.TopicID, p.Index)
			r.EligibleLeaderReplicas, r.LastKnownElr = orEmpty(p.ELR), orEmpty(p.LastKnownELR)
			records = append(records, r)
		}
	}
	return records
}

// withElr are the partitions that a ClearElrRecord changes. An empty name means all topics.
func (c *Controller) withElr(topic string) (found []*metadata.Partition) {
	c.img.Partitions(func(p *metadata.Partition) bool {
		if (topic == "" || p.Topic == topic) && len(p.ELR)+len(p.LastKnownELR) > 0 {
			found = append(found, p)
		}
		return true
	})
	return found
}
