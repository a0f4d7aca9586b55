package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// request is what one of Portreeve's programs asked the API server for, of its audit log
// (audit.k8s.io/v1, Event).
type request struct {
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

// account is the name of the service account, node the node of the pod that has its
// token.
func (r request) account() string { return r.User.Username[strings.LastIndex(r.User.Username, ":")+1:] }
func (r request) node() string {
	return strings.Join(r.User.Extra["authentication.kubernetes.io/node-name"], "")
}

// resource is what was asked for, as a rule of RBAC names it: group/resource/subresource.
func (r request) resource() string {
	return strings.TrimSuffix(r.Object.APIGroup+"/"+r.Object.Resource+"/"+r.Object.Subresource, "/")
}

func (r request) refused() bool { return r.Annotations["authorization.k8s.io/decision"] == "forbid" }

// requests are all that were audited, each once.
func (c cluster) requests(t *testing.T) (all []request) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(c.dir, "logs", "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range bytes.Lines(log) {
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			continue // the last line may not be whole, nor the last of a server that was killed
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

// idle counts what the agent of node c, where nothing happens, has asked for since the
// first stage: it is a part of the ten minutes in which it may write once. IDLE=10m waits
// until they are over.
func idle(t *testing.T, c cluster) {
	pod, err := c.agentPod(t, "c")
	if err != nil {
		t.Fatal(err)
	}
	// It is there, and has written its first status.
	since := pod.Status.ContainerStatuses[0].State.Running.StartedAt.Add(15 * time.Second)
	if d := os.Getenv("IDLE"); d != "" {
		whole, err := time.ParseDuration(d)
		if err != nil {
			t.Fatalf("IDLE=%s: want a time such as 10m", d)
		}
		time.Sleep(time.Until(since.Add(whole)))
	}
	first, asked := map[string]int{}, map[string]int{}
	for _, r := range c.requests(t) {
		switch what := r.Verb + " " + r.resource(); {
		case r.account() != "portreeve-agent" || r.node() != "c":
		case r.At.Before(since):
			first[what]++
		default:
			asked[what]++
		}
	}
	t.Logf("at first: %v; then in %v: %v", first, time.Since(since), asked)
	const write, watch = "patch portreeve.io/portpressures/status", "watch portreeve.io/portpressures"
	if first[write] == 0 || first[watch] != 1 {
		t.Errorf("at first it is to watch once, and to write: %v", first)
	}
	if asked[write] > 1 {
		t.Errorf("%d writes of the status, want 1 at most", asked[write])
	}
	for what, n := range asked {
		if what != write && what != watch { // which the server ends now and then
			t.Errorf("%s, %d times", what, n)
		}
	}
}

// spared are the rights that the cases here need not come to use, and what they are for.
var spared = map[string]string{
	"portreeve-agent: portreeve.io/portpressures list":                                                       streamed,
	"portreeve-agent: /pods list":                                                                            streamed,
	"portreeve-agent: /namespaces list":                                                                      streamed,
	"portreeve-controller: /nodes list":                                                                      streamed,
	"portreeve-controller: portreeve.io/portpressures list":                                                  streamed,
	"portreeve-controller: portreeve.io/nodetunings list":                                                    streamed,
	"portreeve-controller: portreeve-system: /pods list":                                                     streamed,
	"portreeve-controller: /pods list":                                                                       "an address that is a pod's, and no Service's",
	"portreeve-controller: portreeve-system: coordination.k8s.io/leases [portreeve-event-suppression] patch": storm,
	"portreeve-controller: portreeve-system: events.k8s.io/events create":                                    storm,
	"portreeve-agent: events.k8s.io/events patch":                                                            repeated,
	"portreeve-controller: portreeve-system: /events patch":                                                  repeated,
	"portreeve-controller: default: events.k8s.io/events patch":                                              repeated,
}

const (
	streamed = "an API server that does not stream lists: before 1.34, as a rule"
	storm    = "more nodes change than there may be Events (controllers/cmd/portreeve-controller, events_linux_test.go)"
	repeated = "an Event that is said again within half an hour (controllers, TestWhichEventsAnAgentMayWrite)"
)

// everyRightIsUsed compares what the service accounts may do with what they did: not one
// right too many, nor one too few.
func everyRightIsUsed(t *testing.T, c cluster) {
	used, refused := map[string]bool{}, map[string]bool{}
	all := c.requests(t)
	var released time.Time // when what uninstalls asked for the last time: helm deletes then, the agents' rights before their pods are gone
	for _, r := range all {
		if r.account() == "portreeve-release" && r.At.After(released) {
			released = r.At
		}
	}
	leaving := false // what uninstalls takes the controller's rights first
	for _, r := range all {
		leaving = leaving || r.account() == "portreeve-release"
		if r.refused() {
			starting := r.At.After(c.unready[0]) && r.At.Before(c.unready[1])
			left := leaving && r.At.After(released)
			if starting || leaving && r.account() == "portreeve-controller" || left && r.account() == "portreeve-agent" {
				continue
			}
			refused[r.account()+": "+r.Verb+" "+r.resource()+" in "+r.Object.Namespace] = true
			continue
		}
		for _, in := range []string{"", r.Object.Namespace + ": "} {
			for _, name := range []string{"", " [" + r.Object.Name + "]"} {
				used[r.account()+": "+in+r.resource()+name+" "+r.Verb] = true
			}
		}
	}
	if len(refused) > 0 {
		t.Errorf("asked for and refused: %q", slices.Sorted(maps.Keys(refused)))
	}
	for _, account := range []string{"portreeve-agent", "portreeve-controller", "portreeve-release"} {
		rights := c.rights(t, account)
		if len(rights) == 0 {
			t.Errorf("%s has no rights", account)
		}
		for _, right := range rights {
			right = account + ": " + right
			if spared[right] == "" && !used[right] {
				t.Errorf("%s: given, and not used", right)
			}
		}
	}
}

// rights are what the chart's roles give a service account in the mode with the most,
// one verb each.
func (c cluster) rights(t *testing.T, account string) (all []string) {
	t.Helper()
	type object struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Rules    []rbacv1.PolicyRule
		RoleRef  rbacv1.RoleRef
		Subjects []rbacv1.Subject
	}
	rules, bindings := map[string][]rbacv1.PolicyRule{}, []object{}
	for _, text := range c.rendered(t, "pods") {
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
			all = append(all, single(in, r)...)
		}
	}
	return all
}

// single are the rights of a rule, one by one.
func single(in string, r rbacv1.PolicyRule) (all []string) {
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
