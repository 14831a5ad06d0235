package main

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// stillServes produces and reads one record.
func stillServes(t *testing.T, p *proc) {
	t.Helper()
	if !p.running() {
		t.Fatalf("%s has ended", p.name)
	}
	client := newClient(t, []string{p.addr()}, kgo.AllowAutoTopicCreation())
	if err := client.ProduceSync(deadline(t), &kgo.Record{Topic: "alive", Value: []byte("yes")}).FirstErr(); err != nil {
		t.Fatalf("producing: %v", err)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// awaitClosed waits until the broker closes the connection.
func awaitClosed(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
		t.Fatal("the broker keeps the connection")
	}
}

func TestWrongProtocolsOnThePortAreNamedInTheLog(t *testing.T) {
	t.Parallel()
	p := single(t)
	http := dial(t, p.addr())
	io.WriteString(http, "GET /index.html HTTP/1.1\r\nHost: broker\r\n\r\n")
	awaitClosed(t, http)
	p.awaitLog("an HTTP request arrived on a Kafka port")
	if err := tls.Client(dial(t, p.addr()), &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("a TLS handshake succeeded on a plaintext port")
	}
	p.awaitLog("a TLS handshake arrived on a Kafka port")
	stillServes(t, p)
}

func frame(size uint32, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, size), body...)
}

func TestJunkCostsOnlyItsConnection(t *testing.T) {
	t.Parallel()
	p := single(t)
	header := func(key, version uint16) []byte {
		b := binary.BigEndian.AppendUint16(nil, key)
		b = binary.BigEndian.AppendUint16(b, version)
		return append(b, 0, 0, 0, 1, 0xff, 0xff) // correlation id, null client id
	}
	whole := func(body []byte) []byte { return frame(uint32(len(body)), body...) }
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for name, junk := range map[string][]byte{
		"negative size":         frame(0x80000000),
		"size of 2 GiB":         frame(0x7fffffff, 0, 0),
		"empty frame":           frame(0),
		"half a header":         frame(3, 0, 18, 0),
		"unknown key":           whole(append(header(9999, 0), 1, 2, 3)),
		"unknown version":       whole(header(1, 999)),
		"huge client id":        whole(append(header(3, 1)[:8], 0x7f, 0xff)),
		"metadata of 2^31":      whole(append(header(3, 1), 0x7f, 0xff, 0xff, 0xff)),
		"flexible, huge array":  whole(append(header(3, 12), 0, 0xff, 0xff, 0xff, 0xff, 0x0f)),
		"produce without body":  whole(header(0, 9)),
		"fetch of noise":        whole(append(header(1, 12), noise...)),
		"produce of noise":      whole(append(header(0, 9), noise...)),
		"controller's business": whole(header(52, 1)),
		"noise":                 noise,
	} {
		c := dial(t, p.addr())
		c.Write(junk)
		if tcp := c.(*net.TCPConn); tcp.CloseWrite() != nil {
			t.Logf("%s: closed before all was written", name)
		}
		awaitClosed(t, c)
		if !p.running() {
			t.Fatalf("%s ended the broker", name)
		}
	}
	if strings.Contains(p.logged(), "panic") {
		t.Error("the log tells of a panic")
	}
	stillServes(t, p)
}

func TestTruncatedRequestsCostOnlyTheirConnections(t *testing.T) {
	t.Parallel()
	p := single(t)
	metadata := []byte{0, 3, 0, 1, 0, 0, 0, 1, 0, 2, 'm', 'e', 0, 0, 0, 1, 0, 1, 'x'}
	for cut := range len(metadata) {
		announced, honest := dial(t, p.addr()), dial(t, p.addr())
		announced.Write(frame(uint32(len(metadata)), metadata[:cut]...)) // the rest never comes
		announced.Close()
		honest.Write(frame(uint32(cut), metadata[:cut]...)) // a whole frame that ends too early
		honest.(*net.TCPConn).CloseWrite()
		awaitClosed(t, honest)
	}
	stillServes(t, p)
}

// residentMiB is the process' peak resident memory, where the system tells.
func residentMiB(t *testing.T, p *proc) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Skip("no /proc/PID/status here to tell a process' memory")
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, _ := strconv.Atoi(f[1])
			return kib / 1024
		}
	}
	t.Skip("no VmHWM in /proc/PID/status")
	return 0
}

func TestAnnouncedSizesCostNoMemory(t *testing.T) {
	t.Parallel()
	const connections, limitMiB = 10000, 256
	p := single(t)
	before := residentMiB(t, p)
	request := frame(100<<20, 0)
	for i := range connections {
		c, err := net.DialTimeout("tcp", p.addr(), patience)
		if err != nil {
			t.Skipf("no more than %d connections here: %v", i, err)
		}
		defer c.Close()
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
	}
	stillServes(t, p) // and has accepted all that came before
	after := residentMiB(t, p)
	t.Logf("%d connections that announce 100 MiB each: %d MiB resident, %d MiB before", connections, after, before)
	if after-before >= limitMiB {
		t.Errorf("they cost %d MiB, at most %d are allowed", after-before, limitMiB)
	}
}
