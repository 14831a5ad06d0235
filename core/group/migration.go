package group

// MigrationPolicy is which groups may change their kind while they have members (group.consumer.migration.policy).
type MigrationPolicy struct {
	Upgrade   bool // classic groups become consumer groups when a member of the consumer protocol joins
	Downgrade bool // and classic ones again when the last of those has left
}

// isDisabled: the protocols do not mix at all.
func (p MigrationPolicy) isDisabled() bool { return !p.Upgrade && !p.Downgrade }
