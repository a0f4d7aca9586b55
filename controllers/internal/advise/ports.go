package advise

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// The widest range that a NodeTuning may set without allowLowPorts.
const (
	WidestFirst = 16384
	WidestLast  = 65535
)

// NodePorts are Kubernetes' NodePorts unless kube-apiserver has another
// --service-node-port-range.
var NodePorts = ports.Range{First: 30000, Last: 32767}

// ServicePort is a port of a node that a service uses.
type ServicePort struct {
	Port  uint16
	Owner string // such as "Service shop/web" or "pod shop/web-5d9"
}

// maxItems is the API's limit of a list of ports.
const maxItems = 64

// reservedPorts returns the NodePorts and the service ports in r, and the reasons.
func reservedPorts(r ports.Range, services []ServicePort) (list, reasons []string) {
	set := ports.NewSet()
	if r.First <= NodePorts.Last && r.Last >= NodePorts.First {
		set.AddRange(NodePorts)
		reasons = append(reasons, NodePorts.String()+" are NodePorts")
	}
	for _, s := range services {
		if r.Contains(s.Port) && !set.Contains(s.Port) {
			reasons = append(reasons, fmt.Sprintf("%d is of %s", s.Port, s.Owner))
			set.Add(s.Port)
		}
	}
	for _, one := range set.ListRanges() {
		list = append(list, formatRange(one))
	}
	if len(list) > maxItems {
		list = list[:maxItems]
		reasons = append(reasons, fmt.Sprintf("the list has room for %d items; agents reserve the other ports themselves", maxItems))
	}
	return list, reasons
}

func formatRange(r ports.Range) string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return r.String()
}

// countReserved returns the number of ports of r in a list.
func countReserved(r ports.Range, list []string) int {
	set, err := ports.ParseList(strings.Join(list, ","))
	if err != nil {
		return 0
	}
	return set.CountIn(r)
}

// convertRange returns r, which the API has checked, and whether it is a range.
func convertRange(r v1alpha1.PortRange) (ports.Range, bool) {
	if r.First < 1 || r.Last > WidestLast || r.First > r.Last {
		return ports.Range{}, false
	}
	return ports.Range{First: uint16(r.First), Last: uint16(r.Last)}, true
}
