package differential

import "github.com/twmb/franz-go/pkg/kmsg"

func groupStories() []story {
	return []story{
		{10, "who coordinates", func(t *talk) {
			for label, fields := range inOrder("a group", M{"CoordinatorType": 0}, "a transaction", M{"CoordinatorType": 1}, "a share group", M{"CoordinatorType": 2}, "type 9", M{"CoordinatorType": 9}) {
				key := t.name("g")
				if fields["CoordinatorType"] == 2 {
					key += ":AAAAAAAAAAAAAAAAAAAAAQ:0"
				}
				fields["CoordinatorKey"], fields["CoordinatorKeys"] = key, L{key}
				t.ask(label, 10, fields)
			}
			t.ask("nobody", 10, M{"CoordinatorKey": "", "CoordinatorKeys": L{""}})
			t.ask("two", 10, M{"CoordinatorKey": "a", "CoordinatorKeys": L{t.name("a"), t.name("b")}})
			t.ask("none", 10, M{"CoordinatorKey": "a"})
		}},
		{8, "without members", offsetCommits},
		{8, "with a group's member", func(t *talk) {
			topic, group := t.topic("t", 1), t.name("g")
			member, generation := t.join(group)
			commit := func(label, member string, generation int32) {
				t.ask(label, 8, M{"Group": group, "MemberID": member, "Generation": generation, "Topics": L{t.committing(topic, 0, 5, "")}})
			}
			commit("right", member, generation)
			commit("older generation", member, generation-1)
			commit("newer generation", member, generation+1)
			commit("another member", "someone", generation)
			commit("nobody", "", -1)
		}},
		{9, "offsets", offsetFetches},
		{11, "join", joins},
		{12, "heartbeat", func(t *talk) {
			group := t.name("g")
			t.ask("no such group", 12, M{"Group": group, "MemberID": "m", "Generation": 1})
			member, generation := t.join(group)
			t.ask("right", 12, M{"Group": group, "MemberID": member, "Generation": generation})
			t.ask("older", 12, M{"Group": group, "MemberID": member, "Generation": generation - 1})
			t.ask("someone", 12, M{"Group": group, "MemberID": "someone", "Generation": generation})
			t.ask("instance", 12, M{"Group": group, "MemberID": member, "Generation": generation, "InstanceID": "i"})
			t.ask("no group", 12, M{"Group": "", "MemberID": member, "Generation": generation})
		}},
		{13, "leave", func(t *talk) {
			group := t.name("g")
			leave := func(label, group, member string) {
				t.ask(label, 13, M{"Group": group, "MemberID": member, "Members": L{M{"MemberID": member}}})
			}
			leave("no such group", group, "m")
			member, _ := t.join(group)
			leave("someone", group, "someone")
			leave("right", group, member)
			leave("again", group, member)
			leave("no group", "", "m")
		}},
		{14, "sync", func(t *talk) {
			group := t.name("g")
			t.ask("no such group", 14, M{"Group": group, "MemberID": "m", "Generation": 1})
			member, generation := t.join(group)
			t.ask("again", 14, M{"Group": group, "MemberID": member, "Generation": generation})
			t.ask("another protocol", 14, M{"Group": group, "MemberID": member, "Generation": generation, "ProtocolType": "connect", "Protocol": "range"})
			t.ask("older", 14, M{"Group": group, "MemberID": member, "Generation": generation - 1})
			t.ask("someone", 14, M{"Group": group, "MemberID": "someone", "Generation": generation})
		}},
		{15, "describe", func(t *talk) {
			group := t.name("g")
			t.ask("no such group", 15, M{"Groups": L{group}, "IncludeAuthorizedOperations": true})
			member, _ := t.join(group)
			t.ask("stable", 15, M{"Groups": L{group, group}})
			t.quiet(13, M{"Group": group, "MemberID": member, "Members": L{M{"MemberID": member}}})
			t.ask("empty", 15, M{"Groups": L{group, ""}})
			t.ask("none", 15, M{})
		}},
		{16, "list", func(t *talk) {
			t.join(t.name("g"))
			t.mine("all", 16, M{})
			for _, f := range []M{{"StatesFilter": L{"Dead"}}, {"StatesFilter": L{"nonsense"}}, {"TypesFilter": L{"nonsense"}}, {"TypesFilter": L{"streams"}}} {
				t.mine("filter", 16, f)
			}
		}},
		{42, "delete", func(t *talk) {
			topic, empty, full := t.topic("t", 1), t.name("empty"), t.name("full")
			t.quiet(8, M{"Group": empty, "Generation": -1, "Topics": L{t.committing(topic, 0, 5, "")}})
			t.join(full)
			t.ask("three", 42, M{"Groups": L{empty, full, t.name("none")}})
			t.ask("again", 42, M{"Groups": L{empty}})
			t.ask("no name", 42, M{"Groups": L{""}})
		}},
		{47, "delete offsets", func(t *talk) {
			topic, group := t.topic("t", 2), t.name("g")
			t.quiet(8, M{"Group": group, "Generation": -1, "Topics": L{t.committing(topic, 0, 5, "")}})
			ask := func(label, group, topic string, partition int) {
				t.ask(label, 47, M{"Group": group, "Topics": L{M{"Topic": topic, "Partitions": L{M{"Partition": partition}}}}})
			}
			ask("no such group", t.name("none"), topic, 0)
			ask("nothing committed", group, topic, 1)
			ask("no such partition", group, topic, 9)
			ask("no such topic", group, t.name("odd"), 0)
			ask("right", group, topic, 0)
			ask("again", group, topic, 0)
		}},
		{68, "consumer group", consumerGroup},
		{69, "describe", func(t *talk) {
			topic, group := t.topic("t", 2), t.name("g")
			t.ask("no such group", 69, M{"Groups": L{group}})
			t.ask("no name", 69, M{"Groups": L{""}})
			t.quiet(68, heartbeat(group, "m1", 0, topic))
			t.ask("one member", 69, M{"Groups": L{group}, "IncludeAuthorizedOperations": true})
			classic := t.name("classic")
			t.join(classic)
			t.ask("classic", 69, M{"Groups": L{classic}})
			t.ask("as a classic one", 15, M{"Groups": L{group}})
		}},
	}
}

func (t *talk) committing(topic string, partition, offset int, metadata string) M {
	return M{"Topic": topic, "TopicID": t.topicIDs[topic], "Partitions": L{M{"Partition": partition, "Offset": offset, "Metadata": metadata, "LeaderEpoch": -1}}}
}

func offsetCommits(t *talk) {
	topic, group := t.topic("t", 2), t.name("g")
	commit := func(label, group string, generation int, member string, topics ...any) {
		t.ask(label, 8, M{"Group": group, "Generation": generation, "MemberID": member, "Topics": L(topics)})
	}
	commit("right", group, -1, "", t.committing(topic, 0, 5, "note"))
	commit("generation", group, 3, "", t.committing(topic, 0, 5, ""))
	commit("member", group, -1, "m", t.committing(topic, 0, 5, ""))
	commit("member and generation", t.name("fresh"), 3, "m", t.committing(topic, 0, 5, ""))
	commit("no such partition", group, -1, "", t.committing(topic, 7, 5, ""), t.committing(topic, 1, 5, ""))
	commit("no such topic", group, -1, "", t.committing(t.name("none"), 0, 5, ""))
	commit("negative offset", group, -1, "", t.committing(topic, 0, -5, ""))
	commit("long metadata", group, -1, "", t.committing(topic, 0, 5, string(make([]byte, 5000))))
	commit("no group", "", -1, "", t.committing(topic, 0, 5, ""))
	commit("nothing", group, -1, "")
	t.ask("what is there then", 9, t.offsetsOf(group, topic, 0, 1))
}

// offsetsOf asks for offsets in the form of every version.
func (t *talk) offsetsOf(group, topic string, partitions ...any) M {
	of := M{"Topic": topic, "TopicID": t.topicIDs[topic], "Partitions": L(partitions)}
	return M{"Group": group, "Topics": L{M{"Topic": topic, "Partitions": L(partitions)}}, "Groups": L{M{"Group": group, "MemberEpoch": -1, "Topics": L{of}}}}
}

func offsetFetches(t *talk) {
	topic, group := t.topic("t", 2), t.name("g")
	t.ask("no such group", 9, t.offsetsOf(group, topic, 0))
	t.quiet(8, M{"Group": group, "Generation": -1, "Topics": L{t.committing(topic, 0, 5, "note")}})
	t.ask("one and another", 9, t.offsetsOf(group, topic, 0, 1))
	t.ask("no such partition", 9, t.offsetsOf(group, topic, 9))
	t.ask("no such topic", 9, t.offsetsOf(group, t.name("none"), 0))
	all := t.offsetsOf(group, topic)
	all["Topics"], all["Groups"] = nil, L{M{"Group": group, "MemberEpoch": -1}}
	t.ask("all", 9, all)
	stable := t.offsetsOf(group, topic, 0)
	stable["RequireStable"] = true
	t.ask("stable", 9, stable)
	member := t.offsetsOf(group, topic, 0)
	member["Groups"].(L)[0].(M)["MemberID"], member["Groups"].(L)[0].(M)["MemberEpoch"] = "m", 4
	t.ask("as a member", 9, member)
	t.ask("no group", 9, t.offsetsOf("", topic, 0))
}

func joining(group, member string) M {
	return M{"Group": group, "MemberID": member, "SessionTimeoutMillis": 10000, "RebalanceTimeoutMillis": 1000, "ProtocolType": "consumer",
		"Protocols": L{M{"Name": "range", "Metadata": []byte{0, 1, 2}}}}
}

// join makes a stable group of one member.
func (t *talk) join(group string) (member string, generation int32) {
	for range 2 { // the first answer may only give a member id
		resp, ok := t.until(11, joining(group, member)).(*kmsg.JoinGroupResponse)
		if !ok {
			return "", 0
		}
		member, generation = resp.MemberID, resp.Generation
		if resp.ErrorCode == 0 {
			break
		}
	}
	t.quiet(14, M{"Group": group, "MemberID": member, "Generation": generation, "GroupAssignment": L{M{"MemberID": member, "MemberAssignment": []byte{7}}}})
	return member, generation
}

func joins(t *talk) {
	with := func(group string, change M) M {
		fields := joining(group, "")
		for k, v := range change { // order: fields are apart
			fields[k] = v
		}
		return fields
	}
	t.ask("no group", 11, with("", nil))
	t.ask("short session", 11, with(t.name("a"), M{"SessionTimeoutMillis": 1}))
	t.ask("long session", 11, with(t.name("a"), M{"SessionTimeoutMillis": 1 << 30}))
	t.ask("no protocols", 11, with(t.name("a"), M{"Protocols": L{}}))
	t.ask("no protocol type", 11, with(t.name("a"), M{"ProtocolType": ""}))
	t.ask("someone", 11, with(t.name("a"), M{"MemberID": "someone"}))
	group := t.name("g")
	resp, _ := t.ask("first", 11, with(group, nil)).(*kmsg.JoinGroupResponse)
	if resp == nil {
		return
	}
	member := resp.MemberID
	if resp.ErrorCode != 0 {
		resp, _ = t.ask("with its id", 11, joining(group, member)).(*kmsg.JoinGroupResponse)
	}
	if resp == nil {
		return
	}
	assignment := L{M{"MemberID": member, "MemberAssignment": []byte{7}}}
	t.ask("sync", 14, M{"Group": group, "MemberID": member, "Generation": resp.Generation, "ProtocolType": "consumer", "Protocol": "range", "GroupAssignment": assignment})
	t.ask("joins again", 11, joining(group, member))
	t.ask("another protocol type", 11, with(group, M{"ProtocolType": "connect"}))
	t.ask("no common protocol", 11, with(group, M{"Protocols": L{M{"Name": "odd", "Metadata": []byte{}}}}))
	t.ask("static", 11, with(t.name("s"), M{"InstanceID": "one"}))
	t.ask("static again", 11, with(t.name("s"), M{"InstanceID": "one"}))
}

func heartbeat(group, member string, epoch int, topics ...string) M {
	m := M{"Group": group, "MemberID": member, "MemberEpoch": epoch, "RebalanceTimeoutMillis": 10000, "Topics": L{}, "SubscribedTopicNames": L{}}
	for _, topic := range topics {
		m["SubscribedTopicNames"] = append(m["SubscribedTopicNames"].(L), topic)
	}
	return m
}

func consumerGroup(t *talk) {
	topic, group := t.topic("t", 2), t.name("g")
	hb := func(label string, change M) *kmsg.ConsumerGroupHeartbeatResponse {
		m := M{"Group": group, "MemberID": "m1", "MemberEpoch": 0, "RebalanceTimeoutMillis": 10000, "Topics": L{}, "SubscribedTopicNames": L{topic}}
		for k, v := range change { // order: fields are apart
			m[k] = v
		}
		resp, _ := t.ask(label, 68, m).(*kmsg.ConsumerGroupHeartbeatResponse)
		return resp
	}
	hb("no group", M{"Group": ""})
	hb("no member id", M{"MemberID": ""})
	hb("epoch of nobody", M{"MemberEpoch": 4})
	hb("epoch -3", M{"MemberEpoch": -3})
	hb("no rebalance timeout", M{"RebalanceTimeoutMillis": -1})
	hb("no subscription", M{"SubscribedTopicNames": nil})
	hb("owns at once", M{"Topics": L{M{"TopicID": t.topicIDs[topic], "Partitions": L{0}}}})
	hb("no such assignor", M{"ServerAssignor": "odd"})
	hb("bad regular expression", M{"SubscribedTopicRegex": "[", "SubscribedTopicNames": nil})
	resp := hb("joins", nil)
	if resp == nil {
		return
	}
	epoch := int(resp.MemberEpoch)
	same := M{"MemberEpoch": epoch, "RebalanceTimeoutMillis": -1, "Topics": nil, "SubscribedTopicNames": nil}
	hb("goes on", same)
	hb("owns all", M{"MemberEpoch": epoch, "Topics": L{M{"TopicID": t.topicIDs[topic], "Partitions": L{0, 1}}}})
	hb("epoch ahead", M{"MemberEpoch": epoch + 3})
	hb("someone", M{"MemberEpoch": epoch, "MemberID": "someone"})
	hb("static", M{"MemberID": "m2", "InstanceID": "i"})
	hb("static again", M{"MemberID": "m3", "InstanceID": "i"})
	hb("leaves", M{"MemberEpoch": -1, "RebalanceTimeoutMillis": -1, "Topics": nil, "SubscribedTopicNames": nil})
	hb("leaves again", M{"MemberEpoch": -1, "RebalanceTimeoutMillis": -1, "Topics": nil, "SubscribedTopicNames": nil})
	t.ask("a classic member", 11, joining(group, ""))
}
