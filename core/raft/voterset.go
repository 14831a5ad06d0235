package raft

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/network"
)

// Endpoint is where a controller listens under the name of a listener.
type Endpoint struct {
	Name string
	Host string
	Port uint16
}

// newEndpoint keeps what a request says: its strings may be gone with its frame. Listeners' names are in capitals, as Kafka has them.
func newEndpoint(name, host string, port uint16) Endpoint {
	return Endpoint{strings.ToUpper(name), strings.Clone(host), port}
}

func (e Endpoint) addr() network.Addr { return joinAddr(e.Host, int32(e.Port)) }

// Voter is a member of the quorum. A zero DirectoryID is one that is not known, as with static voters (kraft.version 0): it
// matches any.
type Voter struct {
	ID           int32
	DirectoryID  [16]byte
	Addr         network.Addr // of the listener that controllers speak on
	ListenerName string

	// Of voters that the log names (KIP-853):
	Endpoints    []Endpoint // by name
	KRaftVersion versionRange
}

// versionRange is what a replica supports of kraft.version.
type versionRange struct{ Min, Max int16 }

func (r versionRange) has(v int16) bool { return r.Min <= v && v <= r.Max }

// supported is this release's: version 1 has voters in the log.
var supported = versionRange{0, 1}

// FeatureKRaftVersion is the name of the feature.
const FeatureKRaftVersion = "kraft.version"

// Endpoint is the host and port of Addr.
func (v *Voter) Endpoint() (host string, port uint16) { return splitAddr(v.Addr) }

// endpoints are all that is known of where the voter listens.
func (v *Voter) endpoints() []Endpoint {
	if len(v.Endpoints) > 0 {
		return v.Endpoints
	}
	host, port := v.Endpoint()
	return []Endpoint{{v.ListenerName, host, port}}
}

func (v *Voter) key() voterKey { return voterKey{v.ID, v.DirectoryID} }

// is reports whether a replica is this voter: another directory under its id is another replica.
func (v *Voter) is(k voterKey) bool {
	return v.ID == k.id && (v.DirectoryID == [16]byte{} || v.DirectoryID == k.dir)
}

func (v *Voter) equal(o *Voter) bool {
	return v.key() == o.key() && v.KRaftVersion == o.KRaftVersion && slices.Equal(v.Endpoints, o.Endpoints)
}

// newVoter is a voter as the log has it, who is reached at the listener, or at its first one if it has none of that name.
func newVoter(k voterKey, endpoints []Endpoint, versions versionRange, listener string) Voter {
	v := Voter{ID: k.id, DirectoryID: k.dir, Endpoints: slices.Clone(endpoints), KRaftVersion: versions}
	slices.SortFunc(v.Endpoints, func(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) })
	if e := findEndpoint(v.Endpoints, listener); e != nil {
		v.Addr, v.ListenerName = e.addr(), e.Name
	} else if len(v.Endpoints) > 0 {
		v.Addr, v.ListenerName = v.Endpoints[0].addr(), v.Endpoints[0].Name
	}
	return v
}

func findEndpoint(endpoints []Endpoint, name string) *Endpoint {
	at := slices.IndexFunc(endpoints, func(e Endpoint) bool { return strings.EqualFold(e.Name, name) })
	if at < 0 {
		return nil
	}
	return &endpoints[at]
}

// ParseVoter reads a voter as operators write it: id@host:port:directory. It is what this release can run.
func ParseVoter(s, listener string) (Voter, error) {
	id, rest, ok := strings.Cut(strings.TrimSpace(s), "@")
	n, err := strconv.ParseInt(id, 10, 32)
	at := strings.LastIndexByte(rest, ':')
	if !ok || err != nil || n < 0 || at < 0 {
		return Voter{}, fmt.Errorf("%q is not of the form id@host:port:directory", s)
	}
	host, port := splitAddr(network.Addr(rest[:at]))
	var dir [16]byte
	if host == "" || port == 0 || parseUUID(rest[at+1:], &dir) != nil || dir == [16]byte{} {
		return Voter{}, fmt.Errorf("%q is not of the form id@host:port:directory", s)
	}
	return NewVoter(int32(n), dir, []Endpoint{{strings.ToUpper(listener), host, port}}, listener), nil
}

// NewVoter is a voter of this release, whom others reach by the endpoint of that listener.
func NewVoter(id int32, dir [16]byte, endpoints []Endpoint, listener string) Voter {
	return newVoter(voterKey{id, dir}, endpoints, supported, listener)
}

// A voter set is a slice of voters, sorted by id, that is never changed: who holds one holds it for good.

func sortVoters(voters []Voter) []Voter {
	voters = slices.Clone(voters)
	slices.SortFunc(voters, func(a, b Voter) int { return cmp.Compare(a.ID, b.ID) })
	return voters
}

func findVoter(voters []Voter, id int32) *Voter {
	for i := range voters {
		if voters[i].ID == id {
			return &voters[i]
		}
	}
	return nil
}

func isVoter(voters []Voter, k voterKey) bool {
	v := findVoter(voters, k.id)
	return v != nil && v.is(k)
}

// withVoter is the set with a voter added, or in the place of the one with its id.
func withVoter(voters []Voter, v Voter) []Voter {
	return sortVoters(append(withoutVoter(voters, v.ID), v))
}

func withoutVoter(voters []Voter, id int32) []Voter {
	return slices.DeleteFunc(slices.Clone(voters), func(v Voter) bool { return v.ID == id })
}

func splitAddr(a network.Addr) (host string, port uint16) {
	at := strings.LastIndexByte(string(a), ':')
	if at < 0 {
		return string(a), 0
	}
	n, _ := strconv.ParseUint(string(a[at+1:]), 10, 16) // a bad port is 0, which nobody can dial
	return strings.Trim(string(a[:at]), "[]"), uint16(n)
}

// joinAddr is "" if there is no such address.
func joinAddr(host string, port int32) network.Addr {
	if host == "" || port <= 0 || port > 1<<16-1 {
		return ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return network.Addr(host + ":" + strconv.Itoa(int(port)))
}
