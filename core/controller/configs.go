package controller

import (
	"cmp"
	"errors"
	"math"
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

// IncrementalAlterConfigs changes configs (KIP-339). A resource changes as a whole or not at all.
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
	a := configChanges{named: map[metadata.ResourceKey]int{}}
	for _, r := range req.Resources {
		a.named[metadata.ResourceKey{Type: int8(r.ResourceType), Name: r.ResourceName}]++
	}
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	for _, r := range req.Resources {
		key := metadata.ResourceKey{Type: int8(r.ResourceType), Name: r.ResourceName}
		f := c.changeConfigs(&a, key, incrementalOps(r.Configs), nil, false)
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
		rr.ErrorCode, rr.ErrorMessage = f.err.Code, f.told()
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
	a := configChanges{named: map[metadata.ResourceKey]int{}}
	for _, r := range req.Resources {
		a.named[metadata.ResourceKey{Type: int8(r.ResourceType), Name: r.ResourceName}]++
	}
	resp := kmsg.NewPtrAlterConfigsResponse()
	for _, r := range req.Resources {
		key := metadata.ResourceKey{Type: int8(r.ResourceType), Name: r.ResourceName}
		f := c.changeConfigs(&a, key, settingOps(r.Configs), c.unnamed(key, r.Configs), false)
		resp.Resources = append(resp.Resources, alterResult(r, f))
	}
	writeConfigs(c, &a, req.ValidateOnly, resp, failed, done)
}

func settingOps(configs []kmsg.AlterConfigsRequestResourceConfig) []configOp {
	ops := make([]configOp, len(configs))
	for n, e := range configs {
		ops[n] = configOp{e.Name, kmsg.IncrementalAlterConfigOpSet, e.Value}
	}
	return ops
}

// unnamed deletes what is set and not named.
func (c *Controller) unnamed(key metadata.ResourceKey, configs []kmsg.AlterConfigsRequestResourceConfig) (ops []configOp) {
	named := make(map[string]bool, len(configs))
	for i := range configs {
		named[configs[i].Name] = true
	}
	for _, e := range c.img.Config(key.Type, key.Name) {
		if !named[e.Key] {
			ops = append(ops, configOp{e.Key, kmsg.IncrementalAlterConfigOpDelete, nil})
		}
	}
	return ops
}

func alterResult(r kmsg.AlterConfigsRequestResource, f *fault) kmsg.AlterConfigsResponseResource {
	rr := kmsg.NewAlterConfigsResponseResource()
	rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
	if f != nil {
		rr.ErrorCode, rr.ErrorMessage = f.err.Code, f.told()
	}
	return rr
}

// creationConfigs are the records of a new topic's configs.
func (c *Controller) creationConfigs(t *kmsg.CreateTopicsRequestTopic) ([]metadata.Record, *fault) {
	ops := make([]configOp, 0, len(t.Configs))
	at := make(map[string]int, len(t.Configs)) // of a config that is named twice the last value holds
	for _, e := range t.Configs {
		if e.Value == nil {
			return nil, refuse(kerr.InvalidConfig, "null value not supported for topic config: "+e.Name)
		}
		if n, named := at[e.Name]; named {
			ops[n].value = e.Value
			continue
		}
		at[e.Name] = len(ops)
		ops = append(ops, configOp{e.Name, kmsg.IncrementalAlterConfigOpSet, e.Value})
	}
	var a configChanges
	if f := c.changeConfigs(&a, metadata.ResourceKey{Type: metadata.ResourceTopic, Name: t.Topic}, ops, nil, true); f != nil {
		return nil, f
	}
	return a.records, nil
}

// configChanges collects the records of a request that changes configs.
type configChanges struct {
	records []metadata.Record
	named   map[metadata.ResourceKey]int // how often each resource is
}

// changeConfigs adds one resource's changes, or says why they are refused. implied are changes that follow from the request and that
// it does not name.
func (c *Controller) changeConfigs(a *configChanges, key metadata.ResourceKey, ops, implied []configOp, isNew bool) *fault {
	if a.named[key] > 1 {
		return refuse(kerr.InvalidRequest, "each resource must appear at most once")
	}
	slices.SortStableFunc(ops, func(x, y configOp) int { return cmp.Compare(x.key, y.key) })
	if f := checkOps(ops); f != nil {
		return f
	}
	records, f := c.changed(key, append(ops, implied...))
	if f == nil {
		f = c.validate(key, records)
	}
	if f == nil && !isNew {
		f = c.checkExists(key)
	}
	if f != nil {
		return f
	}
	for _, r := range records {
		if c.isChange(r) {
			a.records = append(a.records, r)
		}
	}
	return nil
}

// checkOps refuses what makes no sense on any resource. ops are sorted by key.
func checkOps(ops []configOp) *fault {
	for n, o := range ops {
		switch {
		case n > 0 && ops[n-1].key == o.key:
			return refuse(kerr.InvalidRequest, "each config must appear at most once: "+o.key)
		case o.op < kmsg.IncrementalAlterConfigOpSet || o.op > kmsg.IncrementalAlterConfigOpSubtract:
			return refuse(kerr.InvalidRequest, "unknown operation on "+o.key)
		case o.op != kmsg.IncrementalAlterConfigOpDelete && o.value == nil:
			return refuse(kerr.InvalidRequest, "null value not supported for "+o.key)
		}
	}
	return nil
}

// changed are the records of all operations, whether or not they change something.
func (c *Controller) changed(key metadata.ResourceKey, ops []configOp) (records []*metadata.ConfigRecord, f *fault) {
	for _, o := range ops {
		value, f := c.newValue(key, o)
		if f == nil {
			f = c.checkMinISRChange(key, o.key, value)
		}
		if f == nil && value != nil && len(*value) > maxConfigValue {
			f = refuse(kerr.InvalidConfig, "the value of "+o.key+" is too long")
		}
		if f != nil {
			return nil, f
		}
		records = append(records, &metadata.ConfigRecord{ResourceType: key.Type, ResourceName: key.Name, Name: o.key, Value: value})
	}
	return records, nil
}

// isChange reports whether a record changes something. A broker's configs are written even if not: it makes the broker load
// files anew (KAFKA-14136).
func (c *Controller) isChange(r *metadata.ConfigRecord) bool {
	old, isSet := c.img.ConfigValue(r.ResourceType, r.ResourceName, r.Name)
	same := isSet == (r.Value != nil) && (r.Value == nil || *r.Value == old)
	return !same || r.ResourceType == metadata.ResourceBroker
}

// validate has the resource judged as it will be.
func (c *Controller) validate(key metadata.ResourceKey, records []*metadata.ConfigRecord) *fault {
	if c.cfg.ValidateConfigs == nil {
		return nil
	}
	all := map[string]string{}
	for _, e := range c.img.Config(key.Type, key.Name) {
		all[e.Key] = e.Value
	}
	var set []metadata.ConfigEntry
	for _, r := range records {
		if r.Value == nil {
			delete(all, r.Name)
			continue
		}
		all[r.Name] = *r.Value
		set = append(set, metadata.ConfigEntry{Key: r.Name, Value: *r.Value})
	}
	err := c.cfg.ValidateConfigs(key, set, all)
	if err == nil {
		return nil
	}
	var code *kerr.Error
	if !errors.As(err, &code) {
		code = kerr.InvalidConfig
	}
	return refuse(code, err.Error())
}

// checkExists: a topic must, and a node must be known. Groups and subscriptions need no more than a name.
func (c *Controller) checkExists(key metadata.ResourceKey) *fault {
	switch key.Type {
	case metadata.ResourceTopic:
		if c.img.Topic(key.Name) == nil {
			return refuse(kerr.UnknownTopicOrPartition, "the topic '"+key.Name+"' does not exist")
		}
	case metadata.ResourceBroker:
		id, err := strconv.ParseInt(key.Name, 10, 32)
		if key.Name != "" && (err != nil || id < 0) {
			return refuse(kerr.InvalidRequest, "a broker resource is a broker id, or empty for all brokers")
		}
		if key.Name != "" && !c.isNodeKnown(int32(id)) {
			return refuse(kerr.BrokerIDNotRegistered, "no node with id "+key.Name)
		}
	case metadata.ResourceGroup, metadata.ResourceClientMetrics:
	default:
		return refuse(kerr.InvalidRequest, "configs of this resource type cannot be altered")
	}
	return nil
}

func (c *Controller) isNodeKnown(id int32) bool {
	known := id == c.cfg.NodeID || c.img.Broker(id) != nil
	c.img.Controllers(func(other *metadata.Controller) bool {
		known = known || other.ID == id
		return !known
	})
	return known
}

// maxConfigValue is the longest value a ConfigRecord may hold.
const maxConfigValue = 32767

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
	case kmsg.IncrementalAlterConfigOpSet:
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

// writeConfigs writes the changes, and elects where unclean election may have just been allowed, be it by a value that was deleted: nothing
// else would happen there until a broker comes.
func writeConfigs[R any](c *Controller, a *configChanges, validateOnly bool, resp R, failed func(*kerr.Error) R, done func(R)) {
	records := c.configRecords(a, validateOnly)
	answer(c, records, resp, failed, done)
	if c.Active() && slices.ContainsFunc(records, isUncleanElection) {
		c.electWhere(func(p *metadata.Partition) bool { return p.Leader == metadata.NoLeader }, math.MaxInt)
	}
}

func isUncleanElection(r metadata.Record) bool {
	config, ok := r.(*metadata.ConfigRecord)
	return ok && config.Name == keyUncleanElection
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
