package metadata

// Records returns the records that rebuild the image, in the order Kafka writes a snapshot:
// metadata.version first, then the other features, nodes, topics, configs, quotas, producer ids, credentials and what
// is not understood.
func (i *Image) Records() []Record {
	out := i.featureRecords()
	i.brokers.Ascend(func(b *Broker) bool { out = append(out, b.Record()); return true })
	i.controllers.Ascend(func(c *Controller) bool { out = append(out, c.Record()); return true })
	i.topics.Ascend(func(t *Topic) bool {
		out = append(out, &TopicRecord{t.Name, t.ID})
		for _, p := range t.Partitions {
			out = append(out, p.Record())
		}
		return true
	})
	i.configs.Ascend(func(c *ConfigResource) bool { out = append(out, c.records()...); return true })
	i.quotas.Ascend(func(q *ClientQuota) bool { out = append(out, q.records()...); return true })
	if i.producerIDs != (ProducerIdsRecord{}) {
		p := i.producerIDs
		out = append(out, &p)
	}
	i.scram.Ascend(func(r *UserScramCredentialRecord) bool { out = append(out, r); return true })
	for _, o := range i.opaque {
		out = append(out, o)
	}
	return out
}

func (i *Image) featureRecords() []Record {
	var out []Record
	if level := i.Feature(MetadataVersion); level != 0 {
		out = append(out, &FeatureLevelRecord{MetadataVersion, level})
	}
	i.features.Ascend(func(f Feature) bool {
		if f.Name != MetadataVersion {
			out = append(out, &FeatureLevelRecord{f.Name, f.Level})
		}
		return true
	})
	return out
}

func (c *ConfigResource) records() []Record {
	out := make([]Record, len(c.Entries))
	for n := range c.Entries {
		e := &c.Entries[n]
		out[n] = &ConfigRecord{ResourceType: c.Type, ResourceName: c.Name, Name: e.Key, Value: &e.Value}
	}
	return out
}

// MarshalAll marshals records into one slice each, as raft takes them.
func MarshalAll(records []Record) [][]byte {
	out := make([][]byte, len(records))
	var buf []byte
	for n, r := range records {
		start := len(buf)
		buf = Marshal(buf, r)
		out[n] = buf[start:len(buf):len(buf)]
	}
	return out
}
