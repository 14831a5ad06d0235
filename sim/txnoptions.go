package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// TxnOptions is transactional producers. Their transactional ids are t and numbers, counted through all lines.
type TxnOptions struct {
	IDs      int           // transactional ids
	Twins    int           // producers of the same id, who fence each other
	Topics   string        // to which they write: "t0,t1"; empty: all
	Interval time.Duration // mean time from the end of a transaction to the next one
	Batches  int           // most batches in a transaction
	Records  int           // most records in a batch
	Size     int           // bytes of a record's value
	Timeout  time.Duration // transaction.timeout.ms
	Delivery time.Duration // delivery.timeout.ms
	Hold     time.Duration // the longest time for which a transaction stays open for nothing
	Aborts   int           // how many of eight transactions are aborted for no reason
	Churn    time.Duration // mean time between two troubles of a producer, see txnchurn.go; 0: there are none
	Old      bool          // clients from before KIP-890, which speak version 1 whatever the cluster does
}

func (x *TxnOptions) fields() []field {
	return []field{
		{"ids", &x.IDs}, {"twins", &x.Twins}, {"topics", &x.Topics}, {"interval", &x.Interval}, {"batches", &x.Batches}, {"records", &x.Records},
		{"size", &x.Size}, {"timeout", &x.Timeout}, {"delivery", &x.Delivery}, {"hold", &x.Hold}, {"aborts", &x.Aborts}, {"churn", &x.Churn}, {"old", &x.Old},
	}
}

// plainTxn is transactional producers of which a schedule's line says nothing else.
func plainTxn() TxnOptions {
	return TxnOptions{IDs: 1, Twins: 1, Interval: 100 * time.Millisecond, Batches: 3, Records: 1, Size: 20, Timeout: 5 * time.Second, Delivery: 10 * time.Second, Aborts: 2}
}

// plainCopy is how a member produces that copies what its group reads.
func plainCopy(g *GroupOptions) TxnOptions {
	x := plainTxn()
	x.Timeout, x.Size, x.Aborts = g.Timeout, originSize, 0
	return x
}

// TransactionOptions is __transaction_state, and which of Kafka's protocols for transactions is spoken.
type TransactionOptions struct {
	Log     TopicOptions
	Version int // transaction.version: 1 or 2
}

func (t *TransactionOptions) fields() []field {
	return append([]field{{"version", &t.Version}}, t.Log.fields()[1:]...)
}

// plainTransactions is __transaction_state of which a schedule's line says nothing else.
func plainTransactions() TransactionOptions {
	return TransactionOptions{Log: TopicOptions{Name: config.TransactionState, Partitions: 1, RF: 3, MinISR: 2, SegmentBytes: 1 << 20, Compact: true}, Version: newestTxnVersion}
}

// newestTxnVersion is KIP-890's.
const newestTxnVersion = 2

// hasTransactions reports whether anybody makes transactions.
func (o *Options) hasTransactions() bool { return o.Transactions.Log.Partitions > 0 }

// copies reports whether members of the group copy what they read, exactly once.
func (g *GroupOptions) copies() bool { return g.Into != "" }

// checkTransactions finds transactions that cannot be.
func (o *Options) checkTransactions() error {
	for i := range o.Txns {
		if err := o.Txns[i].check(o); err != nil {
			return fmt.Errorf("txn %d: %w", i, err)
		}
	}
	for i := range o.Groups {
		if g := &o.Groups[i]; g.copies() && !o.hasTransactions() {
			return fmt.Errorf("group %d copies, and there is no line for the transactions", i)
		}
	}
	if v := o.Transactions.Version; o.hasTransactions() && (v < 1 || v > newestTxnVersion) {
		return fmt.Errorf("transactions: version %d is not 1 or %d", v, newestTxnVersion)
	}
	return nil
}

func (x *TxnOptions) check(o *Options) error {
	for _, name := range x.topics(o) {
		if o.topic(name) == nil || config.IsInternal(name) {
			return fmt.Errorf("no topic %q", name)
		}
	}
	switch {
	case !o.hasTransactions():
		return errors.New("no line for the transactions")
	case x.IDs < 1 || x.Twins < 1 || x.Batches < 1 || x.Records < 1:
		return errors.New("ids, twins, batches or records is not above zero")
	case x.Interval <= 0 || x.Timeout < time.Millisecond || x.Delivery < time.Millisecond:
		return errors.New("interval, timeout or delivery is below a millisecond")
	}
	return nil
}

// topics are those that the producers write to.
func (x *TxnOptions) topics(o *Options) []string { return o.topicsIn(x.Topics) }

// txnWriterCount is how many transactional producers the lines make.
func (o *Options) txnWriterCount() (n int) {
	for i := range o.Txns {
		n += o.Txns[i].IDs * o.Txns[i].Twins
	}
	return n
}

// transactorCount is how many transactional producers there are: those of the lines, and one of each member that copies.
func (o *Options) transactorCount() int {
	n := o.txnWriterCount()
	for i := range o.Groups {
		if o.Groups[i].copies() {
			n += o.Groups[i].Members
		}
	}
	return n
}

// transactionPartition is the partition of __transaction_state that a transactional id has.
func (o *Options) transactionPartition(id string) event.Partition {
	return event.Partition{Topic: config.TransactionState, Index: coordinator.PartitionFor(id, o.Transactions.Log.Partitions)}
}

func transactionalID(i int) string { return "t" + strconv.Itoa(i) }

// transactionProperties are what brokers must know of transactions so that more happens in a simulated second.
func transactionProperties() (props []config.Property) {
	for _, p := range [][2]string{
		{"transaction.abort.timed.out.transaction.cleanup.interval.ms", "300"},
		{"transactional.id.expiration.ms", "2147483647"}, // longer than any clock jumps
		{"transaction.remove.expired.transaction.cleanup.interval.ms", "700"},
		{"transaction.state.log.load.buffer.size", "2000"},
	} {
		props = append(props, config.Property{Key: p[0], Value: p[1], Origin: "sim"})
	}
	return props
}

// drawTransactions gives one seed in five transactions.
func (o *Options) drawTransactions(seed uint64) {
	r := virtual.Rand(seed, "options/transactions")
	if r.IntN(5) > 0 {
		return
	}
	o.Transactions = TransactionOptions{Log: drawOffsets(virtual.Rand(seed, "options/transactions/log"), o.Cluster.Brokers), Version: pick(r, 2, 2, 2, 1)}
	o.Transactions.Log.Name = config.TransactionState
	for i := range pick(r, 0, 1, 1, 1, 2) {
		x := drawTxn(virtual.Rand(seed, "options/txn/"+strconv.Itoa(i)), o)
		x.Records = max(min(x.Records, o.largestBatch()/(x.Size+recordOverhead)), 1)
		x.Old = o.Transactions.Version >= 2 && virtual.Rand(seed, "options/txn/"+strconv.Itoa(i)+"/old").IntN(5) == 0
		o.Txns = append(o.Txns, x)
	}
	if len(o.Txns) == 0 || r.IntN(2) == 0 {
		o.drawCopies(seed)
	}
	o.armTransactions(seed)
	o.Consumers[0].Committed = true
	for i := range o.Consumers[1:] {
		o.Consumers[1+i].Committed = r.IntN(2) == 0
	}
}

// armTransactions arms half of the rare paths of transactions that are not yet: few seeds have a use for them.
func (o *Options) armTransactions(seed uint64) {
	for s := buggify.TxnMarkersLate; s <= buggify.TxnVerifyLate; s++ {
		r := virtual.Rand(seed, "options/transactions/"+s.String())
		isArmed := slices.ContainsFunc(o.Buggify, func(a buggify.Armed) bool { return a.Site == s })
		if r.IntN(2) == 0 && !isArmed {
			o.Buggify = append(o.Buggify, buggify.Armed{Site: s, OneIn: pick[int64](r, 2, 4, 8, 20, 50)})
		}
	}
}

func drawTxn(r *rand.Rand, o *Options) TxnOptions {
	x := plainTxn()
	x.IDs, x.Twins = pick(r, 1, 1, 2, 3), pick(r, 1, 1, 1, 2)
	x.Interval = pickMillis(r, 5, 50, 200, 1000)
	x.Batches, x.Records, x.Size = pick(r, 1, 3, 8), pick(r, 1, 1, 10), pick(r, 20, 100)
	x.Timeout, x.Delivery = pickMillis(r, 1000, 3000, 10_000), pickMillis(r, 1500, 5000, 20_000)
	x.Hold = pickMillis(r, 0, 0, 300, 2000, 6000)
	x.Aborts = pick(r, 0, 1, 2, 4)
	x.Churn = pickMillis(r, 0, 1000, 4000, 10_000)
	if all := r.IntN(3) > 0; !all {
		x.Topics = pick(r, o.Topics...).Name
	}
	return x
}

// drawCopies has the members of a group copy what they read into one of the topics. If there is no group, there is one now.
func (o *Options) drawCopies(seed uint64) {
	r := virtual.Rand(seed, "options/copies")
	if len(o.Groups) == 0 {
		o.Offsets = drawOffsets(virtual.Rand(seed, "options/offsets"), o.Cluster.Brokers)
		o.Groups = append(o.Groups, drawGroup(virtual.Rand(seed, "options/group/0"), o))
	}
	for i := range o.Groups {
		if g := &o.Groups[i]; i == 0 || r.IntN(2) == 0 {
			g.Into, g.Timeout, g.Version = pick(r, o.Topics...).Name, pickMillis(r, 1000, 3000, 10_000), firstStableVersion
			g.Protocol = "" // members of the other protocol do not copy
		}
	}
}

// focusOnTransaction has every other seed with transactions put its faults where a transactional id has its records, and one in four break
// disks at the files that transactions have.
func (p *plan) focusOnTransaction(r *rand.Rand) {
	if n := p.options.transactorCount(); n > 0 && r.IntN(2) == 0 {
		p.partition = p.options.transactionPartition(transactionalID(r.IntN(n)))
	}
	if p.options.hasTransactions() && r.IntN(4) == 0 {
		p.kinds, p.files = append(p.kinds, FailingDisk), []int64{producersFile, txnIndexFile}
	}
}

// wrongTransactionVersion says that the cluster does not speak the transaction.version that the run is to have; empty if it does.
func (r *run) wrongTransactionVersion() string {
	t := &r.schedule.Options.Transactions
	if img := r.cluster.image(); t.Log.Partitions > 0 && img != nil && img.Feature(txn.Version) != int16(t.Version) {
		return fmt.Sprintf("transaction.version is %d", img.Feature(txn.Version))
	}
	return ""
}
