package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// auditedRequest is a request of one of Portreeve's programs in the API server's audit log
// (audit.k8s.io/v1, Event).
type auditedRequest struct {
	ID   string `json:"auditID"`
	Verb string
	At   time.Time `json:"requestReceivedTimestamp"`
	User struct {
		Username string
		Extra    map[string][]string
	}
	Object struct {
		APIGroup, Resource, Subresource, Namespace, Name string
	} `json:"objectRef"`
	Status      struct{ Code int } `json:"responseStatus"`
	Annotations map[string]string
}

// accountName returns the name of the service account.
func (r auditedRequest) accountName() string {
	return r.User.Username[strings.LastIndex(r.User.Username, ":")+1:]
}

// nodeName returns the node of the pod to which the token belongs.
func (r auditedRequest) nodeName() string {
	return strings.Join(r.User.Extra["authentication.kubernetes.io/node-name"], "")
}

// resourceName returns the requested resource as group/resource/subresource.
func (r auditedRequest) resourceName() string {
	return strings.TrimSuffix(r.Object.APIGroup+"/"+r.Object.Resource+"/"+r.Object.Subresource, "/")
}

func (r auditedRequest) isRefused() bool {
	return r.Annotations["authorization.k8s.io/decision"] == "forbid"
}

// readAuditLog returns the audited requests without duplicates.
func (c cluster) readAuditLog(t *testing.T) (all []auditedRequest) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(c.dir, "logs", "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range bytes.Lines(log) {
		var r auditedRequest
		if err := json.Unmarshal(line, &r); err != nil {
			continue // the last line may be incomplete, also that of a server that was killed
		}
		if !known[r.ID] {
			all = append(all, r)
		}
		known[r.ID] = true
	}
	if len(known) == 0 {
		t.Fatal("nothing was audited")
	}
	return all
}

// checkIdleRequests counts the requests of the agent of node c, where nothing happens, since
// the first stage. An agent may write its status once in ten minutes. IDLE=10m waits until
// these have passed.
func checkIdleRequests(t *testing.T, c cluster) {
	pod, err := c.getAgentPod(t, "c")
	if err != nil {
		t.Fatal(err)
	}
	// By then the agent has written its first status.
	since := pod.Status.ContainerStatuses[0].State.Running.StartedAt.Add(15 * time.Second)
	if d := os.Getenv("IDLE"); d != "" {
		whole, err := time.ParseDuration(d)
		if err != nil {
			t.Fatalf("IDLE=%s: want a time such as 10m", d)
		}
		time.Sleep(time.Until(since.Add(whole)))
	}
	first, asked := map[string]int{}, map[string]int{}
	for _, r := range c.readAuditLog(t) {
		switch what := r.Verb + " " + r.resourceName(); {
		case r.accountName() != "portreeve-agent" || r.nodeName() != "c" || r.Status.Code == http.StatusTooManyRequests: // new CRD
		case r.At.Before(since):
			first[what]++
		default:
			asked[what]++
		}
	}
	t.Logf("at first: %v; then in %v: %v", first, time.Since(since), asked)
	const write, watch = "patch portreeve.io/portpressures/status", "watch portreeve.io/portpressures"
	if first[write] == 0 || first[watch] != 1 {
		t.Errorf("at first: %v, want one watch and at least one write", first)
	}
	if asked[write] > 1 {
		t.Errorf("%d writes of the status, want 1 at most", asked[write])
	}
	for what, n := range asked {
		if what != write && what != watch { // the server ends watches occasionally
			t.Errorf("%s, %d times", what, n)
		}
	}
}

// unusedRights lists the rights that these tests do not always use, and when they are used.
var unusedRights = map[string]string{
	"portreeve-agent: portreeve.io/portpressures list":                                                       onlyWithoutStreaming,
	"portreeve-agent: /pods list":                                                                            onlyWithoutStreaming,
	"portreeve-agent: /namespaces list":                                                                      onlyWithoutStreaming,
	"portreeve-controller: /nodes list":                                                                      onlyWithoutStreaming,
	"portreeve-controller: portreeve.io/portpressures list":                                                  onlyWithoutStreaming,
	"portreeve-controller: portreeve.io/nodetunings list":                                                    onlyWithoutStreaming,
	"portreeve-controller: portreeve-system: /pods list":                                                     onlyWithoutStreaming,
	"portreeve-controller: portreeve-system: /configmaps [portreeve-pace] list":                              onlyWithoutStreaming,
	"portreeve-controller: portreeve-system: apps/controllerrevisions list":                                  onlyWithoutStreaming,
	"portreeve-controller: /pods list":                                                                       "an address belongs to a pod and to no Service",
	"portreeve-controller: portreeve-system: coordination.k8s.io/leases [portreeve-event-suppression] patch": onlyWithManyChanges,
	"portreeve-controller: portreeve-system: events.k8s.io/events create":                                    onlyWithManyChanges,
	"portreeve-agent: events.k8s.io/events patch":                                                            onlyForRepeatedEvents,
	"portreeve-controller: portreeve-system: /events patch":                                                  onlyForRepeatedEvents,
	"portreeve-controller: default: events.k8s.io/events patch":                                              onlyForRepeatedEvents,
}

const (
	onlyWithoutStreaming  = "the API server does not stream lists, usually before 1.34"
	onlyWithManyChanges   = "more nodes change than the limit of Events allows (controllers/cmd/portreeve-controller, notifications_linux_test.go)"
	onlyForRepeatedEvents = "an Event repeats within half an hour (controllers, TestAnAgentMayWriteOnlyItsOwnEvents)"
)

// checkRightsAreUsed compares the rights of the service accounts with their requests. Every
// right must be used, and no request may be refused.
func checkRightsAreUsed(t *testing.T, c cluster) {
	used, refused := map[string]bool{}, map[string]bool{}
	all := c.readAuditLog(t)
	// The last request of the uninstall hook. Afterwards helm deletes the agents' rights
	// before their pods have ended.
	var released time.Time
	for _, r := range all {
		if r.accountName() == "portreeve-release" && r.At.After(released) {
			released = r.At
		}
	}
	leaving := false // the uninstall hook removes the controller's rights first
	for _, r := range all {
		leaving = leaving || r.accountName() == "portreeve-release"
		if r.isRefused() {
			starting := r.At.After(c.unready[0]) && r.At.Before(c.unready[1])
			left := leaving && r.At.After(released)
			if starting || leaving && r.accountName() == "portreeve-controller" || left && r.accountName() == "portreeve-agent" {
				continue
			}
			refused[r.accountName()+": "+r.Verb+" "+r.resourceName()+" in "+r.Object.Namespace] = true
			continue
		}
		for _, in := range []string{"", r.Object.Namespace + ": "} {
			for _, name := range []string{"", " [" + r.Object.Name + "]"} {
				used[r.accountName()+": "+in+r.resourceName()+name+" "+r.Verb] = true
			}
		}
	}
	if len(refused) > 0 {
		t.Errorf("refused requests: %q", slices.Sorted(maps.Keys(refused)))
	}
	for _, account := range []string{"portreeve-agent", "portreeve-controller", "portreeve-release"} {
		rights := c.listRights(t, account)
		if len(rights) == 0 {
			t.Errorf("%s has no rights", account)
		}
		for _, right := range rights {
			right = account + ": " + right
			if unusedRights[right] == "" && !used[right] {
				t.Errorf("%s: granted but not used", right)
			}
		}
	}
}

// listRights returns the rights that the chart's roles grant a service account in mode pods,
// which has the most, with one verb each.
func (c cluster) listRights(t *testing.T, account string) (all []string) {
	t.Helper()
	type object struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Rules    []rbacv1.PolicyRule
		RoleRef  rbacv1.RoleRef
		Subjects []rbacv1.Subject
	}
	rules, bindings := map[string][]rbacv1.PolicyRule{}, []object{}
	for _, text := range c.renderChart(t, "pods") {
		var o object
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		rules[o.Kind+" "+o.Metadata.Namespace+"/"+o.Metadata.Name] = o.Rules
		if slices.ContainsFunc(o.Subjects, func(s rbacv1.Subject) bool { return s.Namespace == system && s.Name == account }) {
			bindings = append(bindings, o)
		}
	}
	for _, b := range bindings {
		in, role := "", "ClusterRole /"+b.RoleRef.Name
		if b.Kind == "RoleBinding" {
			in = b.Metadata.Namespace + ": "
		}
		if b.RoleRef.Kind == "Role" {
			role = "Role " + b.Metadata.Namespace + "/" + b.RoleRef.Name
		}
		for _, r := range rules[role] {
			all = append(all, splitRule(in, r)...)
		}
	}
	return all
}

// splitRule returns the rights of a rule with one resource, name and verb each.
func splitRule(in string, r rbacv1.PolicyRule) (all []string) {
	names := []string{""}
	if len(r.ResourceNames) > 0 {
		names = nil
	}
	for _, name := range r.ResourceNames {
		names = append(names, " ["+name+"]")
	}
	for _, group := range r.APIGroups {
		for _, resource := range r.Resources {
			for _, name := range names {
				for _, verb := range r.Verbs {
					all = append(all, fmt.Sprintf("%s%s/%s%s %s", in, group, resource, name, verb))
				}
			}
		}
	}
	return all
}
