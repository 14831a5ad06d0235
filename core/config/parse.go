package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Parse checks the properties, later ones winning, and gives the configuration. Warnings name keys
// that are accepted without effect. The error joins everything that is wrong.
func Parse(props []Property) (*Config, []string, error) {
	c := &Config{values: map[string]string{}}
	var warnings []string
	var errs []error
	for _, p := range props {
		warning, err := c.set(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Origin, err))
		}
		if warning != "" {
			warnings = append(warnings, p.Origin+": "+warning)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, warnings, err
	}
	if err := c.derive(); err != nil {
		return nil, warnings, err
	}
	return c, append(warnings, c.warnAdvertised()...), nil
}

func (c *Config) set(p Property) (warning string, err error) {
	switch {
	case FindBroker(p.Key) != nil:
		if err := FindBroker(p.Key).Check(p.Value); err != nil {
			return "", err
		}
		c.values[p.Key] = strings.TrimSpace(p.Value)
		if FindBroker(p.Key).Inert {
			return p.Key + inertWarning, nil
		}
		return "", nil
	case slices.Contains(zookeeperKeys, p.Key) || strings.HasPrefix(p.Key, "zookeeper."):
		return "", fmt.Errorf("%s: there is no ZooKeeper here; Kafka 4 runs on KRaft alone: name the controllers in controller.quorum.voters", p.Key)
	case slices.Contains(inertKeys, p.Key) || strings.HasPrefix(p.Key, "listener.name."):
		c.values[p.Key] = strings.TrimSpace(p.Value)
		return p.Key + inertWarning, nil
	case FindTopic(p.Key) != nil:
		if s := FindTopic(p.Key).Synonyms; len(s) > 0 {
			return "", fmt.Errorf("%s is a topic's key; a broker's default for it is %s", p.Key, s[0].Name)
		}
		return "", fmt.Errorf("%s is a topic's key; a broker has no default for it", p.Key)
	}
	return "", fmt.Errorf("unknown key %q%s", p.Key, didYouMean(p.Key))
}

// derive fills the typed fields and checks what concerns several keys.
func (c *Config) derive() error {
	c.deriveNumbers()
	c.deriveGroups()
	c.deriveTransactions()
	return errors.Join(c.deriveRoles(), c.deriveListeners(), c.deriveVoters(), c.deriveLogDirs(), c.check())
}

func (c *Config) deriveNumbers() {
	c.Rack, _ = c.Value("broker.rack")
	c.ElectionTimeout = c.millis("controller.quorum.election.timeout.ms")
	c.ElectionBackoffMax = c.millis("controller.quorum.election.backoff.max.ms")
	c.QuorumFetchTimeout = c.millis("controller.quorum.fetch.timeout.ms")
	c.QuorumRequest = c.millis("controller.quorum.request.timeout.ms")
	c.SnapshotEveryBytes = c.long("metadata.log.max.record.bytes.between.snapshots")
	c.MetadataSegment = c.int32("metadata.log.segment.bytes")
	if _, isSet := c.Value("internal.metadata.log.segment.bytes"); isSet {
		c.MetadataSegment = c.int32("internal.metadata.log.segment.bytes")
	}
	c.HeartbeatInterval = c.millis("broker.heartbeat.interval.ms")
	c.SessionTimeout = c.millis("broker.session.timeout.ms")
	c.LogDirFailureTimeout = c.millis("log.dir.failure.timeout.ms")
	c.ReplicaLagTimeMax = c.millis("replica.lag.time.max.ms")
	c.ReplicaFetchWaitMax = c.millis("replica.fetch.wait.max.ms")
	c.ReplicaFetchBackoff = c.millis("replica.fetch.backoff.ms")
	c.ReplicaSocketTimeout = c.millis("replica.socket.timeout.ms")
	c.ReplicaFetchMinBytes = c.int32("replica.fetch.min.bytes")
	c.ReplicaFetchMaxBytes = c.int32("replica.fetch.max.bytes")
	c.ReplicaResponseMax = c.int32("replica.fetch.response.max.bytes")
	c.HWCheckpointInterval = c.millis("replica.high.watermark.checkpoint.interval.ms")
	c.RetentionCheck = c.millis("log.retention.check.interval.ms")
	c.NumPartitions = c.int32("num.partitions")
	c.DefaultReplicationFactor = int16(c.long("default.replication.factor"))
	c.AutoCreateTopics = c.boolean("auto.create.topics.enable")
	c.DeleteTopics = c.boolean("delete.topic.enable")
	c.ControlledShutdown = c.boolean("controlled.shutdown.enable")
	c.AutoLeaderRebalance = c.boolean("auto.leader.rebalance.enable")
	c.LeaderImbalanceCheck = c.seconds("leader.imbalance.check.interval.seconds")
	c.MaxRequestBytes = int(c.long("socket.request.max.bytes"))
	c.FetchSessionSlots = int(c.long("max.incremental.fetch.session.cache.slots"))
	c.QuotaWindow, c.QuotaWindows = c.seconds("quota.window.size.seconds"), int(c.long("quota.window.num"))
	c.MutationQuotaWindow, c.MutationQuotaWindows = c.seconds("controller.quota.window.size.seconds"), int(c.long("controller.quota.window.num"))
	c.TelemetryMaxBytes = c.int32("telemetry.max.bytes")
	c.ConnectionsMaxIdle = c.millis("connections.max.idle.ms")
}

func (c *Config) deriveRoles() error {
	c.NodeID = c.int32("node.id")
	if id := "broker.id"; !c.IsSet("node.id") && c.IsSet(id) {
		c.NodeID = c.int32(id)
	}
	if c.NodeID < 0 {
		return fmt.Errorf("node.id: %d is negative", c.NodeID)
	}
	if !c.IsSet("broker.id") {
		c.values["broker.id"] = strconv.Itoa(int(c.NodeID)) // as Kafka shows it
	}
	for _, role := range c.list("process.roles") {
		c.Broker = c.Broker || role == "broker"
		c.Controller = c.Controller || role == "controller"
	}
	if !c.Broker && !c.Controller {
		return errors.New("process.roles: neither broker nor controller")
	}
	return nil
}

func (c *Config) deriveListeners() error {
	c.ControllerListenerNames = c.list("controller.listener.names")
	value, _ := c.Value("listeners")
	all, err := parseListeners("listeners", value)
	if err != nil {
		return err
	}
	for _, l := range all {
		if c.IsControllerListener(l.Name) && !c.Controller {
			if c.IsSet("listeners") {
				return fmt.Errorf("listeners: %s is a controller's listener, but process.roles has no controller", l.Name)
			}
			continue
		}
		if !c.IsControllerListener(l.Name) && !c.Broker {
			if c.IsSet("listeners") {
				return fmt.Errorf("listeners: %s is a broker's listener, but process.roles has no broker", l.Name)
			}
			continue
		}
		c.Listeners = append(c.Listeners, l)
	}
	return errors.Join(c.deriveAdvertised(), c.checkProtocols(), c.checkListenerRoles())
}

func (c *Config) deriveAdvertised() error {
	advertised := c.Listeners
	if value, ok := c.Value("advertised.listeners"); ok {
		var err error
		if advertised, err = parseListeners("advertised.listeners", value); err != nil {
			return err
		}
		if err := c.checkAdvertised(advertised); err != nil {
			return err
		}
	}
	c.deriveControllerEndpoints(advertised)
	for _, l := range advertised {
		if c.IsControllerListener(l.Name) {
			continue
		}
		if isMeta(l.Host) {
			l.Host = stayHost
		}
		c.Advertised = append(c.Advertised, l)
	}
	c.InterBrokerListener = strings.ToUpper(c.text("inter.broker.listener.name"))
	if c.InterBrokerListener == "" && len(c.Advertised) > 0 {
		c.InterBrokerListener = c.Advertised[0].Name
	}
	if _, ok := c.InterBroker(); c.Broker && !ok {
		return fmt.Errorf("inter.broker.listener.name: no advertised listener is named %q", c.InterBrokerListener)
	}
	return nil
}

// stayHost is what is advertised of a listener on all addresses: it stays on the machine. Kafka takes the machine's name, which is not
// known here.
const stayHost = "127.0.0.1"

// isMeta reports whether a host means all addresses of the machine. Nobody can dial that.
func isMeta(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// checkAdvertised: as in Kafka 0.0.0.0 is not advertised, and nothing that is not listened on.
func (c *Config) checkAdvertised(advertised []Listener) error {
	for _, l := range advertised {
		switch {
		case l.Host == "0.0.0.0":
			return fmt.Errorf("advertised.listeners: %s is at 0.0.0.0, which nobody can dial", l.Name)
		case c.Broker && !c.IsControllerListener(l.Name) && !slices.ContainsFunc(c.Listeners, func(own Listener) bool { return own.Name == l.Name }):
			return fmt.Errorf("advertised.listeners: %s is not among the listeners", l.Name)
		}
	}
	return nil
}

// warnAdvertised names what is advertised at an address that nobody asked for.
func (c *Config) warnAdvertised() (warnings []string) {
	value, isSet := c.Value("advertised.listeners")
	if !isSet {
		value = c.text("listeners")
	}
	given, _ := parseListeners("", value) // checked before
	for _, l := range given {
		if slices.ContainsFunc(c.Advertised, func(a Listener) bool { return a.Name == l.Name && isMeta(l.Host) }) {
			warnings = append(warnings, fmt.Sprintf("listeners: %s is advertised as %s; set advertised.listeners", l.Name, stayHost))
		}
	}
	return warnings
}

// deriveControllerEndpoints takes a controller's listeners as they are advertised, or else as they are, in the order in which
// they are named.
func (c *Config) deriveControllerEndpoints(advertised []Listener) {
	for _, name := range c.ControllerListenerNames {
		for _, l := range slices.Concat(advertised, c.Listeners) {
			if !strings.EqualFold(l.Name, name) {
				continue
			}
			if isMeta(l.Host) {
				l.Host = "localhost"
			}
			c.ControllerEndpoints = append(c.ControllerEndpoints, l)
			break
		}
	}
}

func (c *Config) checkProtocols() error {
	protocol := map[string]string{}
	for _, item := range c.list("listener.security.protocol.map") {
		name, proto, _ := strings.Cut(strings.ToUpper(item), ":")
		protocol[strings.TrimSpace(name)] = strings.TrimSpace(proto)
	}
	for _, l := range c.Listeners {
		p := protocol[l.Name]
		if p == "" && c.IsControllerListener(l.Name) {
			p = "PLAINTEXT"
		}
		if p == "" {
			return fmt.Errorf("listener.security.protocol.map: listener %s has no protocol", l.Name)
		}
		if p != "PLAINTEXT" {
			return fmt.Errorf("listener %s: security protocol %s is not supported, only PLAINTEXT", l.Name, p)
		}
	}
	return nil
}

func (c *Config) checkListenerRoles() error {
	controllers := 0
	for _, l := range c.Listeners {
		if c.IsControllerListener(l.Name) {
			controllers++
		}
	}
	if c.Controller && controllers == 0 {
		return fmt.Errorf("listeners: a controller needs a listener named %s", strings.Join(c.ControllerListenerNames, " or "))
	}
	if c.Broker && controllers == len(c.Listeners) {
		return errors.New("listeners: a broker needs a listener of its own besides the controller's")
	}
	return nil
}

// parseListeners reads NAME://host:port,...
func parseListeners(key, value string) ([]Listener, error) {
	var listeners []Listener
	for _, item := range SplitList(value) {
		name, rest, ok := strings.Cut(item, "://")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s: %q is not of the form NAME://host:port", key, item)
		}
		host, port, err := splitHostPort(rest)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", key, item, err)
		}
		for _, l := range listeners {
			if l.Name == strings.ToUpper(name) {
				return nil, fmt.Errorf("%s: two listeners are named %s", key, l.Name)
			}
		}
		listeners = append(listeners, Listener{strings.ToUpper(name), host, port})
	}
	return listeners, nil
}

func splitHostPort(s string) (string, int, error) {
	u, err := url.Parse("x://" + s)
	if err != nil || u.Port() == "" || u.Path != "" {
		return "", 0, errors.New("not of the form host:port")
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil || port > 65535 {
		return "", 0, fmt.Errorf("port %q is not between 0 and 65535", u.Port())
	}
	return u.Hostname(), port, nil
}

func (c *Config) deriveVoters() error {
	for _, item := range c.list("controller.quorum.voters") {
		id, addr, ok := strings.Cut(item, "@")
		n, err := strconv.ParseInt(id, 10, 32)
		if !ok || err != nil || n < 0 {
			return fmt.Errorf("controller.quorum.voters: %q is not of the form id@host:port", item)
		}
		host, port, err := splitHostPort(addr)
		if err != nil {
			return fmt.Errorf("controller.quorum.voters: %q: %w", item, err)
		}
		c.Voters = append(c.Voters, Voter{int32(n), host, port})
	}
	for _, item := range c.list("controller.quorum.bootstrap.servers") {
		host, port, err := splitHostPort(item)
		if err != nil {
			return fmt.Errorf("controller.quorum.bootstrap.servers: %q: %w", item, err)
		}
		c.BootstrapServers = append(c.BootstrapServers, Listener{Host: host, Port: port})
	}
	c.AutoJoin = c.boolean("controller.quorum.auto.join.enable")
	return c.checkVoters()
}

func (c *Config) checkVoters() error {
	if len(c.Voters) == 0 {
		return c.deriveVotersAlone()
	}
	seen := map[int32]bool{}
	for _, v := range c.Voters {
		if seen[v.ID] {
			return fmt.Errorf("controller.quorum.voters: %d is named twice", v.ID)
		}
		seen[v.ID] = true
	}
	if seen[c.NodeID] != c.Controller {
		if c.Controller {
			return fmt.Errorf("controller.quorum.voters: node %d is a controller but not among the voters", c.NodeID)
		}
		return fmt.Errorf("controller.quorum.voters: node %d is a voter but process.roles has no controller", c.NodeID)
	}
	return nil
}

// deriveVotersAlone: without configured voters the log directory says who votes (KIP-853), or the controllers that
// controller.quorum.bootstrap.servers names. A controller that knows of nobody else is the only voter until it hears better.
func (c *Config) deriveVotersAlone() error {
	others := slices.ContainsFunc(c.BootstrapServers, func(l Listener) bool { return !c.isOwn(l) })
	switch {
	case !c.Controller && !others:
		return errors.New("controller.quorum.voters: a broker without the controller role must know the controllers, by this key or controller.quorum.bootstrap.servers")
	case c.AutoJoin && !c.Controller:
		return errors.New("controller.quorum.auto.join.enable: only a controller can join the voters")
	case others:
		for _, l := range c.ControllerEndpoints {
			if l.Port == 0 {
				return fmt.Errorf("listeners: %s needs a port that others can know", l.Name)
			}
		}
		return nil
	}
	for _, l := range c.Listeners {
		if c.IsControllerListener(l.Name) {
			c.Voters = []Voter{{c.NodeID, l.Host, l.Port}}
		}
	}
	return nil
}

// isOwn reports whether an address is this node's, as far as it can be told without a network.
func (c *Config) isOwn(at Listener) bool {
	isLocal := func(host string) bool {
		return contains([]string{"", "0.0.0.0", "::", "localhost", "127.0.0.1", "::1"}, host)
	}
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool {
		return c.IsControllerListener(l.Name) && l.Port == at.Port && (l.Host == at.Host || isLocal(l.Host) && isLocal(at.Host))
	})
}

func (c *Config) deriveLogDirs() error {
	c.LogDirs = c.list("log.dirs")
	if len(c.LogDirs) == 0 {
		c.LogDirs = c.list("log.dir")
	}
	for i, dir := range c.LogDirs {
		if slices.ContainsFunc(c.LogDirs[:i], func(other string) bool { return strings.TrimRight(other, "/") == strings.TrimRight(dir, "/") }) {
			return fmt.Errorf("log.dirs: %s is named twice", dir)
		}
	}
	if len(c.LogDirs) == 0 {
		return errors.New("log.dirs: at least one directory is needed")
	}
	c.LogDir = c.LogDirs[0]
	if dir, ok := c.Value("metadata.log.dir"); ok && dir != "" {
		c.LogDir = dir
	}
	return nil
}

// didYouMean names the known key nearest to an unknown one.
func didYouMean(key string) string {
	best, bestDistance := "", max(2, len(key)/4)+1
	consider := func(name string) {
		if d := editDistance(key, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	for _, k := range BrokerKeys {
		consider(k.Name)
	}
	for _, name := range inertKeys {
		consider(name)
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
