package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// voters is a cluster that says who votes in its log.
type voters struct {
	t     *testing.T
	nodes []*proc
	ports []int // brokers', then controllers'
	dirs  [][16]byte
}

// newVoters formats n nodes, of which the first are the initial controllers, and starts them.
func newVoters(t *testing.T, n, initial int, extra string) *voters {
	v := &voters{t: t, ports: freePorts(t, 2*n), dirs: make([][16]byte, n)}
	var servers, first []string
	for i := range n {
		v.dirs[i] = randomUUID()
		servers = append(servers, fmt.Sprintf("127.0.0.1:%d", v.ports[n+i]))
		if i < initial {
			first = append(first, fmt.Sprintf("%d@127.0.0.1:%d:%s", i+1, v.ports[n+i], base64.RawURLEncoding.EncodeToString(v.dirs[i][:])))
		}
	}
	cluster := randomUUID()
	for i := range n {
		p := newProc(t, fmt.Sprintf("node %d", i+1), "--config", "server.properties")
		text := fmt.Sprintf("node.id=%d\nlisteners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\ncontroller.quorum.bootstrap.servers=%s\n%s",
			i+1, v.ports[i], v.ports[n+i], strings.Join(servers, ","), extra)
		write(t, filepath.Join(p.dir, "server.properties"), text)
		args := []string{"format", "-c", "server.properties", "-t", base64.RawURLEncoding.EncodeToString(cluster[:]), "-N"}
		if i < initial {
			args = append(args[:len(args)-1], "-I", strings.Join(first, ","))
		}
		out := v.run(p, args...)
		if i >= initial {
			id := regexp.MustCompile(`directory id (\S+)\.`).FindStringSubmatch(out)
			b, err := base64.RawURLEncoding.DecodeString(id[1])
			if err != nil {
				t.Fatal(err)
			}
			copy(v.dirs[i][:], b)
		}
		v.nodes = append(v.nodes, p)
	}
	startAll(v.nodes)
	return v
}

func (v *voters) run(p *proc, args ...string) string {
	cmd := exec.Command(daemon, args...)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		v.t.Fatalf("lockstepd %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// change adds or removes node i, counted from 0. It asks until it is granted.
func (v *voters) change(c *kgo.Client, add bool, i int) {
	v.t.Helper()
	eventually(v.t, "the voters change", func() bool {
		code := v.ask(c, add, i)
		err := kerr.ErrorForCode(code)
		return err == nil || add && err == kerr.DuplicateVoter || !add && err == kerr.VoterNotFound
	})
}

func (v *voters) ask(c *kgo.Client, add bool, i int) int16 {
	if !add {
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID = int32(i+1), v.dirs[i]
		resp, err := req.RequestWith(deadline(v.t), c)
		if err != nil {
			return -1
		}
		return resp.ErrorCode
	}
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = int32(i+1), v.dirs[i]
	req.Listeners = append(req.Listeners, kmsg.AddRaftVoterRequestListener{Name: "CONTROLLER", Host: "127.0.0.1", Port: uint16(v.ports[len(v.nodes)+i])})
	resp, err := req.RequestWith(deadline(v.t), c)
	if err != nil {
		return -1
	}
	return resp.ErrorCode
}

// quorum is the leader and the voters, as "leader: ids".
func (v *voters) quorum(c *kgo.Client) (leader int, ids string) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(deadline(v.t), c)
	if err != nil || len(resp.Topics) == 0 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		return -1, ""
	}
	p := resp.Topics[0].Partitions[0]
	for _, r := range p.CurrentVoters {
		ids += fmt.Sprint(r.ReplicaID)
	}
	return int(p.LeaderID), ids
}

func (v *voters) await(c *kgo.Client, want string) int {
	v.t.Helper()
	last := 0
	eventually(v.t, "voters "+want, func() bool {
		leader, ids := v.quorum(c)
		last = leader
		return ids == want
	})
	return last
}

func TestVotersComeAndGoWhileProcessesAreKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	v := newVoters(t, 4, 3, quickElections)
	c := newClient(t, addrs(v.nodes))
	leader := v.await(c, "123")
	v.change(c, true, 3)
	v.await(c, "1234")
	v.change(c, false, leader-1) // the leader
	rest := strings.ReplaceAll("1234", fmt.Sprint(leader), "")
	leader = v.await(c, rest)
	v.nodes[leader-1].kill()
	v.await(c, rest)
	v.nodes[leader-1].start()
	v.nodes[leader-1].awaitReady()
	killAllAndRestart(v.nodes)
	v.await(c, rest)
	createTopic(t, c, 3, 3, "2")
}

func TestFormatSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "server.properties")
	write(t, file, "log.dirs="+filepath.Join(dir, "data")+"\n")
	for want, args := range map[string][]string{
		"--config and --cluster-id are needed": {"-c", file},
		"one of --standalone":                  {"-c", file, "-t", "x"},
		"only one of":                          {"-c", file, "-t", "x", "-s", "-N"},
		"id@host:port:directory":               {"-c", file, "-t", "x", "-I", "1@h:9093"},
		"named twice":                          {"-c", file, "-t", "x", "-I", "1@h:9093:J8aAPcfLQt2bqs1JT_rMgQ,1@h:9093:J8aAPcfLQt2bqs1JT_rMgQ"},
		"unexpected argument":                  {"-c", file, "-t", "x", "-s", "more"},
	} {
		var out, errors bytes.Buffer
		if code := runFormat(args, &out, &errors); code != exitUsage || !strings.Contains(errors.String(), want) {
			t.Errorf("%v: %d, %s; want %q", args, code, errors.String(), want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "meta.properties")); err == nil {
		t.Error("it was formatted all the same")
	}
	var out, errors bytes.Buffer
	if code := runFormat([]string{"-c", file, "-t", "x", "-s"}, &out, &errors); code != exitOK {
		t.Errorf("%d: %s", code, errors.String())
	}
	if code := runFormat([]string{"-c", file, "-t", "x", "-s"}, &out, &errors); code != exitFailed || !strings.Contains(errors.String(), "already formatted") {
		t.Errorf("again: %d: %s", code, errors.String())
	}
	if code := runFormat([]string{"-c", file, "-t", "x", "-s", "-g"}, &out, &errors); code != exitOK {
		t.Errorf("again with -g: %d: %s", code, errors.String())
	}
	write(t, file, "controller.quorum.voters=1@localhost:9093\nlog.dirs="+filepath.Join(dir, "other")+"\n")
	if code := runFormat([]string{"-c", file, "-t", "x", "-s"}, &out, &errors); code != exitUsage {
		t.Errorf("static voters and --standalone: %d", code)
	}
}
