package config

import (
	"strconv"
	"strings"
)

// HostPort is the address of a port of a host, as networks take it: a host with colons, which is an IPv6 address, is in brackets.
func HostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}
