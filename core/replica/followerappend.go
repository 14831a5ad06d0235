package replica

// followerAppend is an append of fetched records until it is written: what was so when it began. Then it is another.
type followerAppend struct {
	f         *following
	fetcher   *fetcher
	epoch     int32       // the leader epoch
	onWritten func(error) // written, bound once
}

func (m *Manager) newFollowerAppend(f *following) *followerAppend {
	var a *followerAppend
	if last := len(m.appends) - 1; last >= 0 {
		a, m.appends = m.appends[last], m.appends[:last]
	} else {
		a = &followerAppend{}
		a.onWritten = a.written
	}
	a.f, a.fetcher, a.epoch = f, f.fetcher, f.p.leaderEpoch
	return a
}

func (a *followerAppend) free() {
	m := a.f.p.m
	a.f, a.fetcher = nil, nil
	m.appends = append(m.appends, a)
}

func (a *followerAppend) written(err error) {
	f, fetcher, epoch := a.f, a.fetcher, a.epoch
	a.free()
	fetcher.onWritten()
	if p := f.p; err == nil && p.lead == nil && p.leaderEpoch == epoch && p.isOnline() {
		f.onProgress(unknownOffset)
	}
	f.p.onAppended()
}
