package tcpnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/lockstep/lockstep/network"
)

// dialError translates a failed dial into the seam's words.
func dialError(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		return network.ErrClosed
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: %w", network.ErrRefused, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", network.ErrTimeout, err)
	}
	return err
}

// connError translates what ended a read or a write.
func connError(err error) error {
	switch {
	case errors.Is(err, net.ErrClosed):
		return network.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", network.ErrTimeout, err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w: %w", network.ErrReset, err)
	}
	return err
}
