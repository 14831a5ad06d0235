package main

import (
	"errors"
	"time"
)

// duration is a flag's time that cannot be negative.
type duration time.Duration

// String implements pflag.Value.
func (d *duration) String() string {
	if *d == 0 {
		return "0" // which pflag does not print as a default
	}
	return time.Duration(*d).String()
}

// Set implements pflag.Value.
func (d *duration) Set(text string) error {
	t, err := time.ParseDuration(text)
	if err == nil && t < 0 {
		err = errors.New("a time that is negative")
	}
	*d = duration(t)
	return err
}

// Type implements pflag.Value.
func (d *duration) Type() string { return "duration" }
