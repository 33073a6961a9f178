package shadow

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
)

// ofHosts reports whether a host is one of some, or nobody knows which it is. No
// names at all choose every host, and a name without a port all of its ports.
func ofHosts(names []string, host string) bool {
	if len(names) == 0 || host == "" {
		return true
	}
	bare := hostname(host)
	return slices.ContainsFunc(names, func(name string) bool {
		return strings.EqualFold(name, host) || strings.EqualFold(name, bare)
	})
}

// hostname is a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// hostsMost is how many hosts of a file are told apart.
const hostsMost = 1000

// hostCounts count what was asked of each host.
type hostCounts map[string]uint64

func (h *hostCounts) add(host string) {
	if *h == nil {
		*h = hostCounts{}
	}
	if _, known := (*h)[host]; host != "" && (known || len(*h) < hostsMost) {
		(*h)[host]++
	}
}

// HostCount is how many exchanges a host was asked.
type HostCount struct {
	Host  string
	Count uint64
}

// String tells both.
func (c HostCount) String() string { return fmt.Sprintf("%s %d", c.Host, c.Count) }

// sorted gives the hosts, those that were asked most first.
func (h hostCounts) sorted() (all []HostCount) {
	for host, n := range h {
		all = append(all, HostCount{host, n})
	}
	slices.SortFunc(all, func(a, b HostCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Host, b.Host))
	})
	return all
}
