package main

import (
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/benbjohnson/clock"
	"github.com/lockstep/lockstep/core"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk/osdisk"
	"github.com/lockstep/lockstep/scheduler/wall"
	"github.com/spf13/pflag"
)

// formatOptions are the flags of kafka-storage format, as far as they say who votes.
type formatOptions struct {
	config, clusterID, initial      string
	ignore, standalone, noneInitial bool
}

// runFormat is "lockstepd format".
func runFormat(args []string, stdout, stderr io.Writer) int {
	o := &formatOptions{}
	flags := pflag.NewFlagSet("lockstepd format", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVarP(&o.config, "config", "c", "", "the node's server.properties `file`")
	flags.StringVarP(&o.clusterID, "cluster-id", "t", "", "the cluster's `id`; lockstepd random-uuid makes one")
	flags.BoolVarP(&o.ignore, "ignore-formatted", "g", false, "leave a directory alone that is formatted already")
	flags.BoolVarP(&o.standalone, "standalone", "s", false, "this controller is the only voter to begin with")
	flags.StringVarP(&o.initial, "initial-controllers", "I", "", "the first voters, the same on all nodes: `id@host:port:directory,...`")
	flags.BoolVarP(&o.noneInitial, "no-initial-controllers", "N", false, "the voters are found by controller.quorum.bootstrap.servers")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Make a log directory ready for its node, as kafka-storage does.\n\nUsage: lockstepd format -c FILE -t ID [-s | -I VOTERS | -N] [-g]\n\n%s", flags.FlagUsages())
	}
	err := flags.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return exitOK
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var cfg *config.Config
	if err == nil {
		cfg, err = o.read()
	}
	var f core.Formatting
	if err == nil {
		f, err = o.formatting(cfg)
	}
	if err != nil {
		return usageError(stderr, err)
	}
	return o.format(cfg, f, stdout, stderr)
}

func (o *formatOptions) read() (*config.Config, error) {
	if o.config == "" || o.clusterID == "" {
		return nil, errors.New("format: --config and --cluster-id are needed")
	}
	props, err := readProperties(o.config)
	if err != nil {
		return nil, err
	}
	cfg, _, err := config.Parse(props)
	return cfg, err
}

// formatting checks what was asked for against the configuration.
func (o *formatOptions) formatting(cfg *config.Config) (f core.Formatting, err error) {
	static, said := cfg.IsSet("controller.quorum.voters"), 0
	for _, is := range []bool{o.standalone, o.initial != "", o.noneInitial} {
		if is {
			said++
		}
	}
	f = core.Formatting{ClusterID: o.clusterID, Dynamic: !static}
	switch {
	case said > 1:
		return f, errors.New("format: only one of --standalone, --initial-controllers and --no-initial-controllers")
	case static && (o.standalone || o.initial != ""):
		return f, errors.New("format: controller.quorum.voters says who votes; for voters that can change set controller.quorum.bootstrap.servers instead")
	case !static && cfg.Controller && said == 0:
		return f, errors.New("format: controller.quorum.voters does not say who votes: one of --standalone, --initial-controllers and --no-initial-controllers has to")
	case o.standalone && !cfg.Controller:
		return f, errors.New("format: --standalone is for a controller")
	case o.standalone:
		f.DirectoryID = randomUUID()
		f.Voters = []raft.Voter{raft.NewVoter(cfg.NodeID, f.DirectoryID, core.Endpoints(cfg.ControllerEndpoints[:1]), cfg.ControllerListenerNames[0])}
	case o.initial != "":
		return f, o.parseInitial(cfg, &f)
	}
	return f, nil
}

// parseInitial reads the first voters. One that is this node has its directory's id.
func (o *formatOptions) parseInitial(cfg *config.Config, f *core.Formatting) error {
	ids := map[int32]bool{}
	for _, item := range strings.Split(o.initial, ",") {
		v, err := raft.ParseVoter(item, cfg.ControllerListenerNames[0])
		if err != nil {
			return fmt.Errorf("format: --initial-controllers: %w", err)
		}
		if ids[v.ID] {
			return fmt.Errorf("format: --initial-controllers: %d is named twice", v.ID)
		}
		ids[v.ID] = true
		if v.ID == cfg.NodeID {
			f.DirectoryID = v.DirectoryID
		}
		f.Voters = append(f.Voters, v)
	}
	return nil
}

func (o *formatOptions) format(cfg *config.Config, f core.Formatting, stdout, stderr io.Writer) int {
	loop := wall.New(clock.New(), wall.Options{})
	d, err := osdisk.New(cfg.LogDir, loop)
	if err != nil {
		return usageError(stderr, err)
	}
	seed := randomSeed()
	e := &env.Env{Loop: loop, Disk: d, Event: event.Discard,
		Rand: func(purpose string) *rand.Rand { return rand.New(rand.NewPCG(seed, hash(purpose))) }}
	ran, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		loop.Run(context.Background())
		close(ran)
	}()
	var m storage.MetaProperties
	loop.Post(func() {
		core.Format(e, cfg, f, func(found storage.MetaProperties, err error) {
			m = found
			ended <- err
		})
	})
	err = <-ended
	loop.Stop()
	<-ran
	d.Close()
	switch {
	case errors.Is(err, core.ErrFormatted) && o.ignore:
		fmt.Fprintln(stdout, "All of the log directories are already formatted.")
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "lockstepd: %s: %v\n", cfg.LogDir, err)
		return exitFailed
	}
	fmt.Fprintf(stdout, "Formatted %s of node %d, directory id %s.\n", cfg.LogDir, m.NodeID, base64.RawURLEncoding.EncodeToString(m.DirectoryID[:]))
	return exitOK
}

// randomUUID is one as Kafka makes them: none that begins with a dash, which tools would take for a flag.
func randomUUID() (id [16]byte) {
	for {
		crand.Read(id[:]) // never fails
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if base64.RawURLEncoding.EncodeToString(id[:])[0] != '-' {
			return id
		}
	}
}

// runRandomUUID is "lockstepd random-uuid".
func runRandomUUID(stdout io.Writer) int {
	id := randomUUID()
	fmt.Fprintln(stdout, base64.RawURLEncoding.EncodeToString(id[:]))
	return exitOK
}
