package storage

// The high watermark on the disk may be ahead of the one in memory: after a truncation below it, which only an unclean election asks for; after a loss
// of power that took what was below it; and where a topic has the name of an earlier one. A log that grew beyond it again would be taken for replicated up
// to there after the next crash, whatever is there by then. So nothing is written before the checkpoint has followed. (Kafka's does not wait, for
// up to replica.high.watermark.checkpoint.interval.ms.)

// saveLowered has the log's next write wait for the checkpoint if that is ahead.
func (l *Log) saveLowered() {
	if d := l.home; d != nil && d.highWatermarks[l.partition] > l.highWatermark {
		l.pipeline.queueTask("checkpoint", d.save, nil)
	}
}

// writeHighWatermarks writes their checkpoint. As long as it is not known to be there, the higher one counts.
func (d *LogDir) writeHighWatermarks(entries []partitionOffset, next func(error)) {
	for _, e := range entries {
		d.highWatermarks[e.partition] = max(d.highWatermarks[e.partition], e.offset)
	}
	d.writeOffsets(replicationFile, entries, func(err error) {
		if err == nil {
			clear(d.highWatermarks)
			for _, e := range entries {
				d.highWatermarks[e.partition] = e.offset
			}
		}
		next(err)
	})
}
