package simnet_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// world is two hosts, a that dialled and b that listens.
type world struct {
	t    testing.TB
	w    *virtual.World
	n    *simnet.Net
	a, b *end
}

// end is one side.
type end struct {
	node   *virtual.Node
	host   *simnet.Host
	conn   network.Conn
	got    []string
	at     []scheduler.Instant // when each came
	held   []*network.Frame
	hold   bool
	closed error
	w      *virtual.World
}

func (e *end) Receive(_ network.Conn, msg any, f *network.Frame) {
	e.got = append(e.got, string(msg.([]byte)))
	e.at = append(e.at, e.w.Now())
	if e.hold {
		e.held = append(e.held, f)
	} else {
		f.Release()
	}
}

func (e *end) Closed(_ network.Conn, err error) { e.closed = err }

var protocol = network.Protocol{Decode: func(b []byte) (any, error) { return b, nil }, MaxFrame: 8 << 20}

func newWorld(t testing.TB, seed uint64, o simnet.Options) *world {
	w := virtual.New(seed)
	x := &world{t: t, w: w, n: simnet.New(w, seed, o)}
	x.a, x.b = x.end("a", 1), x.end("b", 2)
	return x
}

func (x *world) end(name string, id int32) *end {
	return &end{node: x.w.Node(id), host: x.n.Host(name, x.w.Node(id)), w: x.w}
}

// listen has b accept connections.
func (x *world) listen() {
	_, err := x.b.host.Listen("b:1", protocol, func(c network.Conn) network.Handler {
		x.b.conn = c
		return x.b
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

// connected is a world in which a has a connection to b.
func connected(t testing.TB, seed uint64, o simnet.Options) *world {
	x := newWorld(t, seed, o)
	x.listen()
	if err := x.dial(); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *world) dial() (result error) {
	answered := false
	x.a.host.Dial("b:1", protocol, x.a, func(c network.Conn, err error) { x.a.conn, result, answered = c, err, true })
	for !answered && x.w.Step() {
	}
	return result
}

func (x *world) run(d time.Duration) { x.w.RunUntil(x.w.Now().Add(d)) }

func (e *end) send(text string) { e.conn.Send([]network.Chunk{{Bytes: []byte(text)}}, nil) }

func (x *world) wantGot(e *end, want ...string) {
	x.t.Helper()
	if fmt.Sprint(e.got) != fmt.Sprint(want) {
		x.t.Errorf("got %q, want %q", e.got, want)
	}
}

func (x *world) wantClosed(e *end, want error) {
	x.t.Helper()
	if !errors.Is(e.closed, want) {
		x.t.Errorf("closed with %v, want %v", e.closed, want)
	}
}

func TestFramesUnderACutArriveAfterHeal(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.Cut("a", "b")
	x.a.send("1")
	x.a.send("2")
	x.run(3 * time.Second)
	x.wantGot(x.b)
	if got := x.n.Affected("a", "b").Cut; got < 2 {
		t.Errorf("the cut counted %d", got)
	}
	x.n.Heal("a", "b")
	x.a.send("3")
	x.run(5 * time.Second)
	x.wantGot(x.b, "1", "2", "3")
	x.wantClosed(x.a, nil)
}

// The repetitions come 0.2, 0.6, 1.4, 3.0 and 6.2 s after the first loss.
func TestAHealedCutIsNoticedAtTheNextRepetition(t *testing.T) {
	x := connected(t, 1, simnet.Options{RetransmitTimeout: time.Minute})
	x.n.Cut("a", "b")
	x.a.send("1")
	x.run(3100 * time.Millisecond)
	x.n.Heal("a", "b")
	x.run(3000 * time.Millisecond)
	x.wantGot(x.b)
	x.run(200 * time.Millisecond)
	x.wantGot(x.b, "1")
}

// b takes nothing, so a's window is full; b closes, and a cut loses that. a still has to ask.
func TestAFullWindowDoesNotHideThatThePeerIsGone(t *testing.T) {
	x := connected(t, 1, simnet.Options{Window: 10})
	x.b.conn.SetReading(false)
	x.a.send("0123456789")
	x.a.send("0123456789")
	x.a.send("waits")
	x.run(time.Second)
	x.n.Cut("b", "a")
	x.b.conn.Close()
	x.run(20 * time.Second)
	x.wantClosed(x.b, network.ErrClosed)
	x.n.Heal("b", "a")
	x.run(20 * time.Second)
	x.wantClosed(x.a, network.ErrReset)
}

func TestALongCutEndsTheSenderAndThePeerOnlyWhenItSends(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.Cut("a", "b")
	x.a.send("1")
	x.run(13 * time.Second)
	x.wantClosed(x.a, network.ErrReset)
	x.wantClosed(x.b, nil)
	x.n.Heal("a", "b")
	x.run(time.Minute)
	x.wantClosed(x.b, nil)
	x.b.send("2")
	x.run(time.Second)
	x.wantClosed(x.b, network.ErrReset)
}

func TestACutOfTheWayBackLosesAcknowledgementsToo(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.Cut("b", "a")
	x.a.send("1")
	x.run(time.Second)
	x.wantGot(x.b, "1")
	x.run(time.Minute)
	x.wantClosed(x.a, network.ErrReset)
}

func TestACutThatNothingMetCountsNothing(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.Cut("a", "b")
	x.n.HealAll()
	x.a.send("1")
	x.run(time.Second)
	x.wantGot(x.b, "1")
	if sum := x.n.TotalAffected(); sum != (simnet.Affected{}) {
		t.Errorf("%+v", sum)
	}
}

func TestAClogEndsNothingAndKeepsOrder(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.Clog("a", "b")
	x.a.send("1")
	x.run(time.Hour)
	x.wantGot(x.b)
	x.a.send("2")
	x.n.Unclog("a", "b")
	x.run(time.Second)
	x.wantGot(x.b, "1", "2")
	if got := x.n.Affected("a", "b").Clogged; got < 1 {
		t.Errorf("the clog counted %d", got)
	}
}

func TestResetReachesBothSides(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	if got := x.n.Reset("a", "b"); got != 1 {
		t.Errorf("%d connections", got)
	}
	x.run(time.Second)
	x.wantClosed(x.a, network.ErrReset)
	x.wantClosed(x.b, network.ErrReset)
	if got := x.n.Reset("b", "a"); got != 0 {
		t.Errorf("%d connections after that", got)
	}
}

func TestAKilledProcessResetsItsPeersAndRefusesDials(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.b.crash(false)
	x.run(time.Second)
	x.wantClosed(x.a, network.ErrReset)
	if err := x.dial(); !errors.Is(err, network.ErrRefused) {
		t.Error(err)
	}
}

func TestTheLastWordsOfAKilledProcessMayComeAfterItsEnd(t *testing.T) {
	came := 0
	for seed := range uint64(40) {
		x := connected(t, seed, simnet.Options{RetransmitTimeout: time.Minute})
		x.n.Cut("a", "b")
		x.a.send("last words")
		x.run(time.Second)
		x.a.crash(false)
		x.run(time.Second)
		x.n.Heal("a", "b")
		x.run(10 * time.Second)
		if len(x.b.got) > 0 {
			came++
			x.wantGot(x.b, "last words")
			x.wantClosed(x.b, network.ErrReset)
		}
	}
	if came < 5 || came > 35 {
		t.Errorf("they came %d of 40 times", came)
	}
}

func TestNothingOutlivesALossOfPower(t *testing.T) {
	for seed := range uint64(10) {
		x := connected(t, seed, simnet.Options{RetransmitTimeout: time.Minute})
		x.n.Cut("a", "b")
		x.a.send("1")
		x.run(time.Second)
		x.a.crash(true)
		x.n.Heal("a", "b")
		x.run(10 * time.Second)
		x.wantGot(x.b)
	}
}

func TestWhatAKilledProcessSentIsGivenUpInTime(t *testing.T) {
	for seed := range uint64(10) {
		x := connected(t, seed, simnet.Options{RetransmitTimeout: time.Second})
		x.n.Cut("a", "b")
		x.a.send("1")
		x.a.crash(false)
		x.run(10 * time.Second)
		x.n.Heal("a", "b")
		x.run(10 * time.Second)
		x.wantGot(x.b)
	}
}

func (e *end) crash(power bool) {
	e.host.Crash(power)
	e.node.Kill()
}

func TestPowerLossIsNoticedBySending(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.b.crash(true)
	x.run(time.Hour)
	x.wantClosed(x.a, nil)
	x.a.send("1")
	x.run(time.Minute)
	x.wantClosed(x.a, network.ErrReset)
	if err := x.dial(); !errors.Is(err, network.ErrTimeout) {
		t.Error(err)
	}
}

func TestFramesOnTheirWayToALostHostEndTheConnection(t *testing.T) {
	x := connected(t, 1, simnet.Options{MinDelay: time.Second, MaxDelay: time.Second})
	x.a.send("1")
	x.run(500 * time.Millisecond)
	x.b.crash(true)
	x.run(time.Minute)
	x.wantClosed(x.a, network.ErrReset)
}

func TestAHostBackFromPowerLossResetsOldConnections(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.b.crash(true)
	x.a.send("1")
	x.run(time.Second)
	x.listen()
	x.run(4 * time.Second)
	x.wantClosed(x.a, network.ErrReset)
	x.a.closed = nil
	if err := x.dial(); err != nil {
		t.Fatal(err)
	}
	x.a.send("2")
	x.run(time.Second)
	x.wantGot(x.b, "2")
}

func TestDialsTimeOutUnderACutOfEitherWay(t *testing.T) {
	for _, from := range []string{"a", "b"} {
		x := newWorld(t, 1, simnet.Options{})
		x.listen()
		x.n.Cut(from, map[string]string{"a": "b", "b": "a"}[from])
		if err := x.dial(); !errors.Is(err, network.ErrTimeout) {
			t.Error(err)
		}
		if got := x.w.Now(); got != scheduler.Instant(10*time.Second) && from == "a" {
			t.Errorf("at %d", got)
		}
		if x.n.TotalAffected().Cut == 0 {
			t.Error("the cut counted nothing")
		}
	}
}

func TestADialSucceedsWhenACutHealsInTime(t *testing.T) {
	x := newWorld(t, 1, simnet.Options{})
	x.listen()
	x.n.Cut("a", "b")
	x.w.After(5*time.Second, x.n.HealAll)
	if err := x.dial(); err != nil {
		t.Error(err)
	}
}

func TestFramesToAPausedNodeQueue(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.b.node.Pause()
	x.a.send("1")
	x.a.send("2")
	x.run(time.Minute)
	x.wantGot(x.b)
	x.b.node.Resume()
	x.run(0)
	x.wantGot(x.b, "1", "2")
}

func TestBandwidthIsSharedByTheFramesOfALink(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.SetBandwidth("a", "b", 1000)
	start := x.w.Now()
	for range 3 {
		x.a.send(string(make([]byte, 1000)))
	}
	x.run(time.Minute)
	for i, at := range x.b.at {
		if least := time.Duration(i+1) * time.Second; at.Sub(start) < least || at.Sub(start) > least+time.Millisecond {
			t.Errorf("frame %d came after %s", i, at.Sub(start))
		}
	}
	if got := x.n.Affected("a", "b").Slowed; got != 3 || len(x.b.at) != 3 {
		t.Errorf("%d slowed", got)
	}
}

// What waited for the bandwidth goes on at the new one, in order, and nothing waits on behind it.
func TestALiftedLimitHoldsNothingUp(t *testing.T) {
	for name, lift := range map[string]func(*world){
		"lifted": func(x *world) { x.n.SetBandwidth("a", "b", 0) }, "healed": func(x *world) { x.n.HealAll() },
		"raised": func(x *world) { x.n.SetBandwidth("a", "b", 4_000_000) },
	} {
		t.Run(name, func(t *testing.T) {
			x := connected(t, 1, simnet.Options{})
			x.n.SetBandwidth("a", "b", 1000)
			var want []string
			for i := range 4 {
				want = append(want, fmt.Sprintf("%01000d", i))
				x.a.send(want[i])
			}
			x.run(1500 * time.Millisecond)
			x.wantGot(x.b, want[:1]...)
			lift(x)
			x.run(5 * time.Millisecond)
			x.a.send("and on")
			x.run(5 * time.Millisecond)
			x.wantGot(x.b, append(want, "and on")...)
		})
	}
}

func TestALowerLimitHastensNothing(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.SetBandwidth("a", "b", 1000)
	start := x.w.Now()
	for range 2 {
		x.a.send(string(make([]byte, 1000)))
	}
	x.run(500 * time.Millisecond)
	x.n.SetBandwidth("a", "b", 1)
	x.run(time.Minute)
	for i, at := range x.b.at {
		if least := time.Duration(i+1) * time.Second; at.Sub(start) < least {
			t.Errorf("frame %d came after %s", i, at.Sub(start))
		}
	}
}

func TestDelaysKeepTheOrderOfAConnection(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.n.SetDelay("a", "b", 0, time.Second)
	var want []string
	for i := range 200 {
		x.w.After(time.Duration(i)*time.Millisecond, func() { x.a.send(fmt.Sprint(i)) })
		want = append(want, fmt.Sprint(i))
	}
	x.run(time.Minute)
	x.wantGot(x.b, want...)
}

// An untouched link draws the same whatever happens on others.
func TestAFaultLeavesOtherLinksAlone(t *testing.T) {
	arrivals := func(fault bool) []scheduler.Instant {
		x := connected(t, 5, simnet.Options{})
		c := x.end("c", 3)
		c.host.Listen("c:1", protocol, func(network.Conn) network.Handler { return c })
		var out network.Conn
		x.a.host.Dial("c:1", protocol, &end{w: x.w}, func(conn network.Conn, err error) { out = conn })
		x.run(time.Second)
		if fault {
			x.n.Cut("a", "b")
			x.n.SetDelay("b", "a", 0, time.Second)
		}
		for i := range 50 {
			x.w.After(time.Duration(i)*time.Millisecond, func() {
				x.a.send("x")
				out.Send([]network.Chunk{{Bytes: []byte("y")}}, nil)
			})
		}
		x.run(time.Second)
		return c.at
	}
	if a, b := arrivals(false), arrivals(true); fmt.Sprint(a) != fmt.Sprint(b) || len(a) != 50 {
		t.Errorf("%v\n%v", a, b)
	}
}

func TestTheSameSeedGivesTheSameDigest(t *testing.T) {
	digest := func(seed uint64) uint64 {
		x := connected(t, seed, simnet.Options{})
		for i := range 100 {
			x.a.send(fmt.Sprint(i))
			x.b.send(fmt.Sprint(-i))
			x.run(time.Millisecond)
		}
		return x.w.Digest()
	}
	if digest(1) != digest(1) || digest(1) == digest(2) {
		t.Error("the digest does not follow the seed")
	}
}

func TestChangedBytesChangeTheDigest(t *testing.T) {
	digest := func(text string) uint64 {
		x := connected(t, 1, simnet.Options{})
		x.a.send(text)
		x.run(time.Second)
		return x.w.Digest()
	}
	if digest("a") == digest("b") {
		t.Error("the digest does not see the bytes")
	}
}

func TestUseAfterReleaseIsNoticed(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.b.hold = true
	x.a.send("secret")
	x.run(time.Second)
	b := x.b.held[0].Bytes
	if string(b) != "secret" {
		t.Fatalf("held frame reads %q", b)
	}
	x.b.held[0].Release()
	if !bytes.Equal(b, bytes.Repeat([]byte{simnet.Poison}, len(b))) {
		t.Errorf("released frame reads %q", b)
	}
}

// fakeFile is a file whose content may be changed behind the network's back.
type fakeFile struct {
	disk.File
	content []byte
}

func (*fakeFile) Retain() {}
func (*fakeFile) Close()  {}

func TestARegionIsReadWhenItIsTransmittedNotWhenSent(t *testing.T) {
	x := connected(t, 1, simnet.Options{ReadRegion: func(r disk.Region, p []byte) { copy(p, r.File.(*fakeFile).content[r.Pos:]) }})
	f := &fakeFile{content: []byte("old")}
	x.a.conn.Send([]network.Chunk{{Region: disk.Region{File: f, Len: 3}}}, nil)
	f.content = []byte("new")
	x.run(time.Second)
	x.wantGot(x.b, "new")
}

func TestSendAfterCloseIsABrokenInvariant(t *testing.T) {
	x := connected(t, 1, simnet.Options{})
	x.a.conn.Close()
	defer func() {
		if _, ok := recover().(invariant.Violation); !ok {
			t.Error("no violation")
		}
	}()
	x.a.send("1")
}

func TestTapSeesDeliveredFrames(t *testing.T) {
	var seen []string
	x := connected(t, 1, simnet.Options{Tap: func(m simnet.Message) {
		if m.Delivered {
			seen = append(seen, m.From+m.To+string(m.Frame))
		}
	}})
	x.a.send("1")
	x.run(time.Second)
	x.b.send("2")
	x.run(time.Second)
	if fmt.Sprint(seen) != "[ab1 ba2]" {
		t.Error(seen)
	}
}

func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := protocol
			p.Decode = func([]byte) (any, error) { return nil, nil }
			w := virtual.New(1)
			n := simnet.New(w, 1, simnet.Options{})
			e := &echo{chunks: []network.Chunk{{Bytes: make([]byte, size)}}, left: b.N}
			n.Host("b", w.Node(1)).Listen("b:1", p, func(network.Conn) network.Handler { return e })
			n.Host("a", w.Node(2)).Dial("b:1", p, e, func(c network.Conn, _ error) { c.Send(e.chunks, nil) })
			b.ReportAllocs()
			for w.Step() {
			}
		})
	}
}

// echo answers each frame with another until it has seen enough.
type echo struct {
	chunks []network.Chunk
	left   int
}

func (e *echo) Receive(c network.Conn, _ any, f *network.Frame) {
	f.Release()
	if e.left--; e.left > 0 {
		c.Send(e.chunks, nil)
	}
}

func (e *echo) Closed(network.Conn, error) {}
