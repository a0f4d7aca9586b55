package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"portreeve.io/portreeve/internal/testutil/testenv"
)

// TestRights lists every right that config/rbac grants, so that a new one is intentional.
func TestRights(t *testing.T) {
	env := testenv.Start(t)
	tests := map[types.NamespacedName][]string{
		releaseAccount: {
			"portreeve.io/portpressures: deletecollection,list,patch",
			"portreeve.io/nodetunings: deletecollection,list",
			"rbac.authorization.k8s.io/clusterrolebindings [portreeve-controller]: delete",
			"portreeve-system: rbac.authorization.k8s.io/rolebindings [portreeve-controller]: delete",
			"portreeve-system: coordination.k8s.io/leases [portreeve-controller portreeve-event-suppression]: delete",
		},
		agentAccount: {
			"portreeve.io/portpressures: list,watch",
			"portreeve.io/portpressures/status: patch",
			"events.k8s.io/events: create,patch",
			"portreeve-system: coordination.k8s.io/leases [portreeve-event-suppression]: get",
		},
		controllerAccount: {
			"/nodes: list,watch",
			"portreeve.io/portpressures: create,list,patch,watch",
			"portreeve.io/nodetunings: list,patch,watch",
			"portreeve.io/nodetunings/status: patch",
			"apiextensions.k8s.io/customresourcedefinitions [nodetunings.portreeve.io]: get",
			"portreeve-system: /configmaps [portreeve-pace]: list,watch",
			"portreeve-system: apps/controllerrevisions: create,delete,list,watch",
			"/services: list",
			"/pods: list",
			"portreeve-system: /events: create,patch",
			"portreeve-system: events.k8s.io/events: create",
			"portreeve-system: /pods: list,watch",
			"portreeve-system: coordination.k8s.io/leases [portreeve-controller]: get,update",
			"portreeve-system: coordination.k8s.io/leases [portreeve-event-suppression]: patch",
			"portreeve-system: coordination.k8s.io/leases: create",
			"default: events.k8s.io/events: create,patch",
		},
	}
	for account, want := range tests {
		t.Run(account.Name, func(t *testing.T) {
			slices.Sort(want)
			if diff := cmp.Diff(want, listRights(t, env, account)); diff != "" {
				t.Errorf("rights (-want +got):\n%s", diff)
			}
		})
	}
}

// listRights returns the rules that bindings to the account itself grant.
func listRights(t *testing.T, env *testenv.Env, account types.NamespacedName) (lines []string) {
	t.Helper()
	var cluster rbacv1.ClusterRoleBindingList
	var local rbacv1.RoleBindingList
	var clusterRoles rbacv1.ClusterRoleList
	var roles rbacv1.RoleList
	for _, err := range []error{
		env.Client.List(t.Context(), &cluster), env.Client.List(t.Context(), &local),
		env.Client.List(t.Context(), &clusterRoles), env.Client.List(t.Context(), &roles),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	rules := map[string][]rbacv1.PolicyRule{}
	for _, r := range clusterRoles.Items {
		rules["ClusterRole/"+r.Name] = r.Rules
	}
	for _, r := range roles.Items {
		rules[r.Namespace+"/Role/"+r.Name] = r.Rules
	}
	bound := func(s rbacv1.Subject) bool {
		return s.Kind == rbacv1.ServiceAccountKind && s.Name == account.Name && s.Namespace == account.Namespace
	}
	for _, b := range cluster.Items {
		if slices.ContainsFunc(b.Subjects, bound) {
			lines = append(lines, formatRules("", rules["ClusterRole/"+b.RoleRef.Name])...)
		}
	}
	for _, b := range local.Items {
		key := "ClusterRole/" + b.RoleRef.Name
		if b.RoleRef.Kind == "Role" {
			key = b.Namespace + "/Role/" + b.RoleRef.Name
		}
		if slices.ContainsFunc(b.Subjects, bound) {
			lines = append(lines, formatRules(b.Namespace+": ", rules[key])...)
		}
	}
	slices.Sort(lines)
	return lines
}

func formatRules(where string, rules []rbacv1.PolicyRule) (lines []string) {
	for _, r := range rules {
		names := ""
		if len(r.ResourceNames) > 0 {
			names = fmt.Sprint(" ", r.ResourceNames)
		}
		slices.Sort(r.Verbs)
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				lines = append(lines, where+group+"/"+resource+names+": "+strings.Join(r.Verbs, ","))
			}
		}
		for _, url := range r.NonResourceURLs {
			lines = append(lines, where+url+": "+strings.Join(r.Verbs, ","))
		}
	}
	return lines
}

// A NodeTuning affects the pods of every namespace, so only tuners may write one.
func TestOnlyTunersMayWriteNodeTunings(t *testing.T) {
	env := startAPI(t)
	tests := map[string]struct {
		role          string
		read, write   bool
		status, press bool
	}{
		"a tuner":  {role: "portreeve-tuner", read: true, write: true, press: true},
		"a viewer": {role: "portreeve-viewer", read: true, press: true},
		"an agent": {role: "portreeve-agent", press: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			user := "rights-of-" + tt.role
			bindRole(t, env, user, tt.role)
			for ask, want := range map[authorizationv1.ResourceAttributes]bool{
				{Verb: "list", Resource: "nodetunings"}:                          tt.read,
				{Verb: "create", Resource: "nodetunings"}:                        tt.write,
				{Verb: "patch", Resource: "nodetunings"}:                         tt.write,
				{Verb: "delete", Resource: "nodetunings"}:                        tt.write,
				{Verb: "deletecollection", Resource: "nodetunings"}:              false,
				{Verb: "patch", Resource: "nodetunings", Subresource: "status"}:  false,
				{Verb: "update", Resource: "nodetunings", Subresource: "status"}: false,
				{Verb: "list", Resource: "portpressures"}:                        tt.press,
				{Verb: "patch", Resource: "portpressures"}:                       false,
			} {
				ask.Group = "portreeve.io"
				if got := isAllowed(t, env, user, ask); got != want {
					t.Errorf("%s %s %s: %v, want %v", ask.Verb, ask.Resource, ask.Subresource, got, want)
				}
			}
		})
	}
}

// Portreeve's roles are not aggregated to other roles such as view, because a PortPressure has
// details of all namespaces. The test checks labels because no aggregating controller runs.
func TestNothingIsAggregated(t *testing.T) {
	env := testenv.Start(t)
	var roles rbacv1.ClusterRoleList
	if err := env.Client.List(t.Context(), &roles); err != nil {
		t.Fatal(err)
	}
	var aggregated []string
	for _, r := range roles.Items {
		for label := range r.Labels {
			if to, ok := strings.CutPrefix(label, "rbac.authorization.k8s.io/aggregate-to-"); ok && strings.HasPrefix(r.Name, "portreeve-") {
				aggregated = append(aggregated, r.Name+" to "+to)
			}
		}
	}
	if len(aggregated) > 0 {
		t.Errorf("aggregated: %v", aggregated)
	}
}

// bindRole grants a user a role in the whole cluster, and waits until it is in force.
func bindRole(t *testing.T, env *testenv.Env, user, role string) {
	t.Helper()
	b := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := env.Client.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Client.Delete(context.WithoutCancel(t.Context()), b); err != nil {
			t.Error(err)
		}
	})
	// A later binding shows that the first one is in force.
	probe := b.DeepCopy()
	probe.ObjectMeta = metav1.ObjectMeta{Name: user + "-known"}
	probe.RoleRef.Name = "system:node-problem-detector" // may read nodes
	if err := env.Client.Create(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool {
		return isAllowed(t, env, user, authorizationv1.ResourceAttributes{Verb: "get", Resource: "nodes"})
	})
	if err := env.Client.Delete(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
}

// isAllowed asks the API server.
func isAllowed(t *testing.T, env *testenv.Env, user string, ask authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &ask}}
	if err := env.Client.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}
