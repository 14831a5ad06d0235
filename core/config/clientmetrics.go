package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ClientMetricsKeys are the keys of a client metrics subscription, sorted by name (KIP-714).
var ClientMetricsKeys = []Key{
	{Name: "interval.ms", Type: Int, Default: "300000", Min: 100, Max: 3_600_000, Doc: "How often a client pushes the metrics."},
	{Name: "match", Type: List, Default: "", Doc: "Which clients push: name=pattern, all of which must match; every client if empty."},
	{Name: "metrics", Type: List, Default: "", Doc: "Prefixes of the names of the metrics wanted; * for all."},
}

// clientTraits are what a subscription can tell clients by.
var clientTraits = []string{"client_id", "client_instance_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"}

// ClientMatch is one condition of a subscription. The pattern must match the whole.
type ClientMatch struct {
	Trait   string
	Pattern *regexp.Regexp
}

// ParseClientMatch reads the value of match, whose patterns together may be as large as MaxLoopRegex.
func ParseClientMatch(value string) (conditions []ClientMatch, err error) {
	left := MaxLoopRegex
	for _, item := range SplitList(value) {
		trait, pattern, ok := strings.Cut(item, "=")
		trait, pattern = strings.TrimSpace(trait), strings.TrimSpace(pattern)
		if !ok || strings.Contains(pattern, "=") || !slices.Contains(clientTraits, trait) {
			return nil, fmt.Errorf("match: %q is not of the form name=pattern, name being one of %s", item, strings.Join(clientTraits, ", "))
		}
		re, err := compileRegex(pattern, &left)
		if err != nil {
			return nil, fmt.Errorf("match: %q: %w", item, err)
		}
		conditions = append(conditions, ClientMatch{trait, re})
	}
	return conditions, nil
}
