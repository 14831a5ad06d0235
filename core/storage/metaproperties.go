package storage

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/disk"
)

// MetaProperties says whose a log directory is.
type MetaProperties struct {
	Version     int
	ClusterID   string
	NodeID      int32
	DirectoryID [16]byte
}

const metaPropertiesFile = "meta.properties"

// ReadMetaProperties reads meta.properties in the disk's root; disk.ErrNotExist if it is not formatted.
func ReadMetaProperties(d disk.Disk, done func(MetaProperties, error)) {
	ReadFile(d, metaPropertiesFile, func(b []byte, err error) {
		var m MetaProperties
		if err == nil {
			m, err = parseMetaProperties(b)
		}
		done(m, err)
	})
}

// WriteMetaProperties writes meta.properties, durably.
func WriteMetaProperties(d disk.Disk, m MetaProperties, done func(error)) {
	WriteFileAtomic(d, metaPropertiesFile, marshalMetaProperties(m), done)
}

// marshalMetaProperties has the keys sorted and, unlike Java's, no comment with the date.
func marshalMetaProperties(m MetaProperties) []byte {
	return fmt.Appendf(nil, "#\ncluster.id=%s\ndirectory.id=%s\nnode.id=%d\nversion=%d\n",
		m.ClusterID, uuidString(m.DirectoryID), m.NodeID, m.Version)
}

func parseMetaProperties(b []byte) (m MetaProperties, err error) {
	m.NodeID = -1
	for line := range strings.Lines(string(b)) {
		key, value, ok := cutProperty(line)
		if !ok || err != nil {
			continue
		}
		switch key {
		case "version":
			m.Version, err = strconv.Atoi(value)
		case "cluster.id":
			m.ClusterID = value
		case "node.id":
			var id int64
			id, err = strconv.ParseInt(value, 10, 32)
			m.NodeID = int32(id)
		case "directory.id":
			m.DirectoryID, err = parseUUID(value)
		}
	}
	if err == nil && (m.Version != 1 || m.ClusterID == "" || m.NodeID < 0) {
		err = fmt.Errorf("version %d, cluster id %.60q, node id %d", m.Version, m.ClusterID, m.NodeID)
	}
	if err != nil {
		return MetaProperties{}, fmt.Errorf("%w: meta.properties: %w", ErrCorrupt, err)
	}
	return m, nil
}

// cutProperty splits a line of a Java properties file without escapes in its key; false for comments and blanks.
func cutProperty(line string) (key, value string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == '!' {
		return "", "", false
	}
	at := strings.IndexAny(line, "=: \t")
	if at < 0 {
		return line, "", true
	}
	value = strings.TrimLeft(strings.TrimLeft(line[at:], " \t"), "=:")
	return line[:at], strings.ReplaceAll(strings.TrimSpace(value), `\`, ""), true
}
