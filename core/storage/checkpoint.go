package storage

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
)

// Names of Kafka's checkpoint files.
const (
	epochFile             = "leader-epoch-checkpoint"
	partitionMetadataFile = "partition.metadata"
	recoveryPointFile     = "recovery-point-offset-checkpoint"
	logStartFile          = "log-start-offset-checkpoint"
	replicationFile       = "replication-offset-checkpoint"
	cleanerFile           = "cleaner-offset-checkpoint"
	cleanShutdownFile     = ".kafka_cleanshutdown"
)

// parseCheckpoint returns the lines of a Kafka checkpoint file: version 0, count, that many lines.
func parseCheckpoint(b []byte) ([]string, error) {
	if len(b) == 0 {
		return nil, nil // created and not yet written
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != "0" || len(lines) < 2 {
		return nil, fmt.Errorf("%w: checkpoint of version %.20q", ErrCorrupt, lines[0])
	}
	if n, err := strconv.Atoi(lines[1]); err != nil || n != len(lines)-2 {
		return nil, fmt.Errorf("%w: checkpoint has %d entries and says %.20q", ErrCorrupt, len(lines)-2, lines[1])
	}
	return lines[2:], nil
}

// appendHead begins a checkpoint file of n entries.
func appendHead(b []byte, n int) []byte {
	b = append(b, "0\n"...)
	return append(strconv.AppendInt(b, int64(n), 10), '\n')
}

// marshalEpochs is the content of leader-epoch-checkpoint.
func marshalEpochs(entries []EpochEntry) []byte {
	b := appendHead(nil, len(entries))
	for _, e := range entries {
		b = append(strconv.AppendInt(b, int64(e.Epoch), 10), ' ')
		b = append(strconv.AppendInt(b, e.Start, 10), '\n')
	}
	return b
}

// parseEpochs reads leader-epoch-checkpoint.
func parseEpochs(b []byte) ([]EpochEntry, error) {
	lines, err := parseCheckpoint(b)
	if err != nil {
		return nil, err
	}
	entries := make([]EpochEntry, 0, len(lines))
	last := EpochEntry{-1, -1}
	for _, line := range lines {
		epoch, start, ok := strings.Cut(line, " ")
		e, err1 := strconv.ParseInt(epoch, 10, 32)
		s, err2 := strconv.ParseInt(start, 10, 64)
		if !ok || err1 != nil || err2 != nil || int32(e) <= last.Epoch || s <= last.Start {
			return nil, fmt.Errorf("%w: epoch checkpoint line %.60q", ErrCorrupt, line)
		}
		last = EpochEntry{int32(e), s}
		entries = append(entries, last)
	}
	return entries, nil
}

// partitionOffset is a line of an offset checkpoint.
type partitionOffset struct {
	partition event.Partition
	offset    int64
}

// marshalOffsets is the content of an offset checkpoint: "topic partition offset" lines.
func marshalOffsets(entries []partitionOffset) []byte {
	b := appendHead(nil, len(entries))
	for _, e := range entries {
		b = append(append(b, e.partition.Topic...), ' ')
		b = append(strconv.AppendInt(b, int64(e.partition.Index), 10), ' ')
		b = append(strconv.AppendInt(b, e.offset, 10), '\n')
	}
	return b
}

// parseOffsets reads an offset checkpoint; the entries are sorted by partition.
func parseOffsets(b []byte) ([]partitionOffset, error) {
	lines, err := parseCheckpoint(b)
	if err != nil {
		return nil, err
	}
	entries := make([]partitionOffset, 0, len(lines))
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("%w: offset checkpoint line %.60q", ErrCorrupt, line)
		}
		index, err1 := strconv.ParseInt(f[1], 10, 32)
		offset, err2 := strconv.ParseInt(f[2], 10, 64)
		if cmp.Or(err1, err2) != nil || index < 0 || offset < 0 {
			return nil, fmt.Errorf("%w: offset checkpoint line %.60q", ErrCorrupt, line)
		}
		entries = append(entries, partitionOffset{event.Partition{Topic: f[0], Index: int32(index)}, offset})
	}
	slices.SortFunc(entries, func(a, b partitionOffset) int { return a.partition.Compare(b.partition) })
	return entries, nil
}

// uuidString is Kafka's text form of an id: base64url of 16 bytes, without padding.
func uuidString(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func parseUUID(s string) (id [16]byte, err error) {
	if len(s) > 24 {
		return id, fmt.Errorf("%w: id of %d characters", ErrCorrupt, len(s))
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: id %q", ErrCorrupt, s)
	}
	return [16]byte(b), nil
}

// marshalPartitionMetadata is the content of partition.metadata; Kafka ends it without a newline.
func marshalPartitionMetadata(topicID [16]byte) []byte {
	return []byte("version: 0\ntopic_id: " + uuidString(topicID))
}

// parsePartitionMetadata reads partition.metadata.
func parsePartitionMetadata(b []byte) (topicID [16]byte, err error) {
	version, rest, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	id, ok := strings.CutPrefix(strings.TrimSpace(rest), "topic_id: ")
	if strings.TrimSpace(version) != "version: 0" || !ok {
		return topicID, fmt.Errorf("%w: partition.metadata %.60q", ErrCorrupt, b)
	}
	return parseUUID(id)
}

// marshalCleanShutdown is the content of .kafka_cleanshutdown (KIP-966): the broker's epoch, -1 if unknown.
func marshalCleanShutdown(brokerEpoch int64) []byte {
	return []byte(`{"version":0,"brokerEpoch":` + strconv.FormatInt(brokerEpoch, 10) + `}`)
}

// parseCleanShutdown is the epoch in a .kafka_cleanshutdown; -1 if it names none.
func parseCleanShutdown(b []byte) int64 {
	mark := struct{ BrokerEpoch int64 }{-1}
	if json.Unmarshal(b, &mark) != nil {
		return -1 // Kafka 3.6 and before leave the file empty
	}
	return mark.BrokerEpoch
}
