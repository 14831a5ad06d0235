package controller

import "github.com/twmb/franz-go/pkg/kerr"

// Charge is asked before partitions are created or deleted whether the client may (KIP-599). nil: it may do anything.
type Charge func(partitions int) *kerr.Error

func (c Charge) take(partitions int) *fault {
	if c == nil {
		return nil
	}
	if err := c(partitions); err != nil {
		return refuse(err, err.Description)
	}
	return nil
}
