// Package storage is one partition's log on a disk, and the directory of all logs.
//
// State in memory (next offset, epochs, producers, positions) moves when a batch is appended, on
// the loop; bytes go to the disk behind it. A log has one disk operation under way: a write that
// carries all that came meanwhile, or a roll, flush, truncation or removal, in the order asked for.
// The log end offset, which replication sees, moves when the write is done.
//
// Segments are in a btree by base offset. A segment's sparse indexes are sorted slices: they only
// grow at the end and are cut at the end, so a binary search over eight bytes an entry beats a
// tree in time and memory; they reach their files when the segment is rolled or the log closed.
//
// Files have Kafka's names and formats, to the byte.
package storage
