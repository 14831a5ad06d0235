package quota

import "github.com/lockstep/lockstep/core/metadata"

// limits are all limits of one kind that may concern one user, by client id. A limit is 0 if it is not set.
type limits struct {
	userClient        map[string]int64 // of this user and a client id
	userAnyClient     int64            // of this user and every other client id, each
	user              int64            // of this user, all clients together
	anyUserClient     map[string]int64
	anyUserAnyClient  int64
	anyUser           int64
	client            map[string]int64
	anyClient         int64
	isAnyLimitPresent bool
}

// find is the limit of a client id, and whether it is for all of the user's clients together. The most specific one holds, in Kafka's order.
func (l *limits) find(clientID []byte) (limit int64, together bool) {
	if v := l.userClient[string(clientID)]; v > 0 {
		return v, false
	}
	if l.userAnyClient > 0 {
		return l.userAnyClient, false
	}
	if l.user > 0 {
		return l.user, true
	}
	if v := l.anyUserClient[string(clientID)]; v > 0 {
		return v, false
	}
	if l.anyUserAnyClient > 0 {
		return l.anyUserAnyClient, false
	}
	if l.anyUser > 0 {
		return l.anyUser, true
	}
	if v := l.client[string(clientID)]; v > 0 {
		return v, false
	}
	return l.anyClient, false
}

// limitsOf gathers the limits of a kind from the metadata.
func limitsOf(image *metadata.Image, kind Kind, user string) limits {
	l := limits{userClient: map[string]int64{}, anyUserClient: map[string]int64{}, client: map[string]int64{}}
	image.ClientQuotas(func(q *metadata.ClientQuota) bool {
		value, isSet := q.Value(names[kind].name)
		userName, ofUser := q.Part("user")
		if !isSet || ofUser && userName != nil && *userName != user {
			return true
		}
		limit := inUnits(value, names[kind].unit)
		l.isAnyLimitPresent = true
		clientID, ofClient := q.Part("client-id")
		switch {
		case ofUser && userName != nil:
			set(ofClient, clientID, limit, &l.user, &l.userAnyClient, l.userClient)
		case ofUser:
			set(ofClient, clientID, limit, &l.anyUser, &l.anyUserAnyClient, l.anyUserClient)
		case ofClient:
			set(true, clientID, limit, nil, &l.anyClient, l.client)
		}
		return true
	})
	return l
}

// set puts a limit where its client id belongs.
func set(ofClient bool, clientID *string, limit int64, together, anyClient *int64, client map[string]int64) {
	switch {
	case !ofClient:
		*together = limit
	case clientID == nil:
		*anyClient = limit
	default:
		client[*clientID] = limit
	}
}

// inUnits is a limit as an integer, at least 1.
func inUnits(value float64, unit int64) int64 {
	if scaled := value * float64(unit); scaled < unlimited { // float: one multiplication, rounded alike everywhere
		return max(1, int64(scaled))
	}
	return unlimited
}
