package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"

	"portreeve.io/portreeve/controllers/internal/testenv"
)

// Every right that config/rbac gives: one more is a decision, not an accident.
func TestRights(t *testing.T) {
	env := testenv.Start(t)
	tests := map[types.NamespacedName][]string{
		agentAccount: {
			"portreeve.io/portpressures: get,list,watch",
			"portreeve.io/portpressures/status: patch",
			"events.k8s.io/events: create,patch",
			"portreeve-system: coordination.k8s.io/leases [portreeve-storm]: get",
		},
		controllerAccount: {
			"/nodes: list,watch",
			"portreeve.io/portpressures: create,list,patch,watch",
			"/services: list",
			"/pods: list",
			"portreeve-system: /events: create,patch",
			"portreeve-system: events.k8s.io/events: create",
			"portreeve-system: /pods: list,watch",
			"portreeve-system: coordination.k8s.io/leases [portreeve-controller]: get,update",
			"portreeve-system: coordination.k8s.io/leases [portreeve-storm]: patch",
			"portreeve-system: coordination.k8s.io/leases: create",
			"default: events.k8s.io/events: create,patch",
		},
	}
	for account, want := range tests {
		t.Run(account.Name, func(t *testing.T) {
			slices.Sort(want)
			if diff := cmp.Diff(want, rights(t, env, account)); diff != "" {
				t.Errorf("rights (-want +got):\n%s", diff)
			}
		})
	}
}

// rights are the rules that bindings to the account itself give it.
func rights(t *testing.T, env *testenv.Env, account types.NamespacedName) (lines []string) {
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
			lines = append(lines, describe("", rules["ClusterRole/"+b.RoleRef.Name])...)
		}
	}
	for _, b := range local.Items {
		key := "ClusterRole/" + b.RoleRef.Name
		if b.RoleRef.Kind == "Role" {
			key = b.Namespace + "/Role/" + b.RoleRef.Name
		}
		if slices.ContainsFunc(b.Subjects, bound) {
			lines = append(lines, describe(b.Namespace+": ", rules[key])...)
		}
	}
	slices.Sort(lines)
	return lines
}

func describe(where string, rules []rbacv1.PolicyRule) (lines []string) {
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
