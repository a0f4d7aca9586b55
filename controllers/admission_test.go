package controllers_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// callers are clients by account.
type callers map[string]client.Client

func newPortPressure(name string) *v1alpha1.PortPressure {
	return &v1alpha1.PortPressure{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "PortPressure"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
}

// statusWrites has every way to write a status.
var statusWrites = map[string]func(c client.Client, t *testing.T, name string) error{
	"a JSON patch": func(c client.Client, t *testing.T, name string) error {
		return c.Status().Patch(t.Context(), newPortPressure(name), client.RawPatch(types.JSONPatchType, []byte(`[{"op":"add","path":"/status","value":{"level":"Warning"}}]`)))
	},
	"a merge patch": func(c client.Client, t *testing.T, name string) error {
		return c.Status().Patch(t.Context(), newPortPressure(name), client.RawPatch(types.MergePatchType, []byte(`{"status":{"level":"Critical"}}`)))
	},
	"an apply": func(c client.Client, t *testing.T, name string) error {
		body, err := json.Marshal(map[string]any{
			"apiVersion": "portreeve.io/v1alpha1", "kind": "PortPressure",
			"metadata": map[string]any{"name": name}, "status": map[string]any{"level": "Normal"},
		})
		if err != nil {
			return err
		}
		return c.Status().Patch(t.Context(), newPortPressure(name), client.RawPatch(types.ApplyPatchType, body), client.FieldOwner("test"), client.ForceOwnership)
	},
	"an update": func(c client.Client, t *testing.T, name string) error {
		p := newPortPressure(name)
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		p.Status.Level = "Other"
		return c.Status().Update(t.Context(), p)
	},
}

func TestOnlyTheAgentOfANodeMayWriteItsStatus(t *testing.T) {
	env := startAPI(t)
	shop := types.NamespacedName{Namespace: "default", Name: "shop"}
	who := callers{
		"the agent of a":             env.ClientFor(t, env.Token(t, agentAccount, "a")),
		"the agent with a's token":   env.ClientFor(t, env.NodeToken(t, agentAccount, "a")),
		"the agent, bound to no pod": env.ClientFor(t, env.Token(t, agentAccount, "")),
		"the controller, on a":       env.ClientFor(t, env.Token(t, controllerAccount, "a")),
		"another pod on a":           env.ClientFor(t, env.Token(t, shop, "a")),
		"an administrator":           env.Client,
	}
	for _, name := range []string{"a", "b"} {
		if err := who["the controller, on a"].Create(t.Context(), newPortPressure(name)); err != nil {
			t.Fatalf("the controller cannot create %s: %v", name, err)
		}
		t.Cleanup(func() {
			if err := env.Client.Delete(context.WithoutCancel(t.Context()), newPortPressure(name)); err != nil {
				t.Errorf("an administrator cannot delete it: %v", err)
			}
		})
	}
	grantEverything(t, env, who["another pod on a"], agentAccount, controllerAccount, shop)

	const notAgent = "can only be written by the agent of its node (service account portreeve-system/portreeve-agent), not by "
	tests := map[string]struct{ who, on, refusal string }{
		"an agent writes its own":                             {"the agent of a", "a", ""},
		"an agent does not write another node's":              {"the agent of a", "b", "a token from node a may not write the status of PortPressure b"},
		"a token bound to the node works like one of its pod": {"the agent with a's token", "a", ""},
		"and allows no more":                                  {"the agent with a's token", "b", "a token from node a may not write the status of PortPressure b"},
		"an unbound token writes nothing":                     {"the agent, bound to no pod", "a", "this token does not contain a node name"},
		"the controller does not write status":                {"the controller, on a", "a", notAgent + "system:serviceaccount:portreeve-system:portreeve-controller"},
		"nor does another pod of the node":                    {"another pod on a", "a", notAgent + "system:serviceaccount:default:shop"},
		"nor does an administrator":                           {"an administrator", "b", notAgent},
	}
	for name, tt := range tests {
		for way, write := range statusWrites {
			t.Run(name+" by "+way, func(t *testing.T) {
				err := write(who[tt.who], t, tt.on)
				if tt.refusal == "" && err != nil || tt.refusal != "" && !isRefused(err, tt.refusal) {
					t.Errorf("%s on %s: %v, want %q", tt.who, tt.on, err, tt.refusal)
				}
			})
		}
	}
	t.Run("custom resources do not support strategic merge patches", func(t *testing.T) {
		err := who["the agent of a"].Status().Patch(t.Context(), newPortPressure("a"), client.RawPatch(types.StrategicMergePatchType, []byte(`{"status":{}}`)))
		if !apierrors.IsUnsupportedMediaType(err) {
			t.Errorf("%v", err)
		}
	})
	t.Run("the status subresource writes only status", func(t *testing.T) {
		body := `{"metadata":{"labels":{"portreeve.io/agent":"silent"},"finalizers":["a/b"],"ownerReferences":[]},"spec":{"settings":[]},"status":{"level":"Warning"}}`
		p := newPortPressure("a")
		if err := who["the agent of a"].Status().Patch(t.Context(), p, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
			t.Fatal(err)
		}
		if len(p.Labels)+len(p.Finalizers) > 0 || p.Spec.Settings != nil || p.Status.Level != v1alpha1.LevelWarning {
			t.Errorf("written: %+v", p)
		}
	})
	t.Run("writing a status does not create an object", func(t *testing.T) {
		agent := env.ClientFor(t, env.Token(t, agentAccount, "not-made-yet"))
		for way, write := range statusWrites {
			if err := write(agent, t, "not-made-yet"); !apierrors.IsNotFound(err) {
				t.Errorf("%s: %v, want not found", way, err)
			}
		}
	})
}

func TestOnlyTheControllerMayWriteTheSpec(t *testing.T) {
	env := startAPI(t)
	who := callers{
		"the agent":             env.ClientFor(t, env.Token(t, agentAccount, "c")),
		"the controller":        env.ClientFor(t, env.Token(t, controllerAccount, "c")),
		"an administrator":      env.Client,
		"the garbage collector": impersonate(t, env, "system:serviceaccount:kube-system:generic-garbage-collector"),
	}
	p := newPortPressure("c")
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "c", UID: "1"}}
	if err := who["the controller"].Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	grantEverything(t, env, who["the agent"], agentAccount)

	merge := func(body string) func(client.Client) error {
		return func(c client.Client) error {
			return c.Patch(t.Context(), newPortPressure("c"), client.RawPatch(types.MergePatchType, []byte(body)), client.DryRunAll)
		}
	}
	const agents, hand = "an agent may only write the status of its own PortPressure", "can only be written by the Portreeve controller"
	acts := map[string]struct {
		do                func(client.Client) error
		agent, controller string // "" is allowed
		admin, collector  string
	}{
		"change the spec":          {merge(`{"spec":{"settings":[]}}`), agents, "", hand, hand},
		"change a threshold":       {merge(`{"spec":{"thresholds":{"warningPercent":60}}}`), agents, "", hand, hand},
		"change the agent's label": {merge(`{"metadata":{"labels":{"portreeve.io/agent":"silent"}}}`), agents, "", "the owner, the label portreeve.io/agent and the annotation portreeve.io/released", ""},
		"change the owner":         {merge(`{"metadata":{"ownerReferences":null}}`), agents, "", "the owner, the label portreeve.io/agent and the annotation portreeve.io/released", ""},
		"set another label":        {merge(`{"metadata":{"labels":{"team":"shop"}}}`), agents, "", "", ""},
		"set a finalizer":          {merge(`{"metadata":{"finalizers":["a/b"]}}`), agents, "", "", ""},
		"patch by JSON": {func(c client.Client) error {
			return c.Patch(t.Context(), newPortPressure("c"), client.RawPatch(types.JSONPatchType, []byte(`[{"op":"add","path":"/spec","value":{"settings":[]}}]`)), client.DryRunAll)
		}, agents, "", hand, hand},
		"apply": {func(c client.Client) error {
			body := `{"apiVersion":"portreeve.io/v1alpha1","kind":"PortPressure","metadata":{"name":"c"},"spec":{"settings":[]}}`
			return c.Patch(t.Context(), newPortPressure("c"), client.RawPatch(types.ApplyPatchType, []byte(body)), client.FieldOwner("test"), client.DryRunAll)
		}, agents, "", hand, hand},
		"update": {func(c client.Client) error {
			got := newPortPressure("c")
			if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(got), got); err != nil {
				return err
			}
			got.Spec.Settings = []v1alpha1.Setting{}
			return c.Update(t.Context(), got, client.DryRunAll)
		}, agents, "", hand, hand},
		"create": {func(c client.Client) error {
			return c.Create(t.Context(), newPortPressure("d"), client.DryRunAll)
		}, agents, "", "cannot be created manually", ""},
		"delete": {func(c client.Client) error {
			return c.Delete(t.Context(), newPortPressure("c"), client.DryRunAll)
		}, agents, rbac, "", ""},
		"delete all": {func(c client.Client) error {
			return c.DeleteAllOf(t.Context(), newPortPressure(""), client.DryRunAll)
		}, agents, rbac, "", rbac},
	}
	for act, tt := range acts {
		for name, words := range map[string]string{"the agent": tt.agent, "the controller": tt.controller, "an administrator": tt.admin, "the garbage collector": tt.collector} {
			if act == "create" && name == "the garbage collector" {
				continue // it has no permission to create
			}
			t.Run(name+": "+act, func(t *testing.T) {
				err := tt.do(who[name])
				// The controller may patch but not update.
				if act == "update" && name == "the controller" {
					words = rbac
				}
				if words == "" && err != nil || words != "" && !isRefused(err, words) {
					t.Errorf("%v, want %q", err, words)
				}
			})
		}
	}
}

// The release account may patch PortPressures, but only their annotations.
func TestTheReleaseAccountMayOnlyAnnotate(t *testing.T) {
	env := startAPI(t)
	controller := env.ClientFor(t, env.Token(t, controllerAccount, "r"))
	if err := controller.Create(t.Context(), newPortPressure("r")); err != nil {
		t.Fatal(err)
	}
	release := env.ClientFor(t, env.Token(t, releaseAccount, ""))
	for body, want := range map[string]string{
		`{"metadata":{"annotations":{"portreeve.io/release":"true"}}}`: "",
		`{"metadata":{"labels":{"portreeve.io/agent":"none"}}}`:        "the owner, the label portreeve.io/agent and the annotation portreeve.io/released",
		`{"spec":{"settings":[]}}`:                                     "can only be written by the Portreeve controller",
	} {
		err := release.Patch(t.Context(), newPortPressure("r"), client.RawPatch(types.MergePatchType, []byte(body)), client.DryRunAll)
		if want == "" && err != nil || want != "" && !isRefused(err, want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// rbac is contained in refusals by RBAC.
const rbac = "is forbidden: User \"system:serviceaccount:"

func TestPoliciesRefuseWithOneLine(t *testing.T) {
	env := startAPI(t)
	err := env.Client.Create(t.Context(), newPortPressure("by-hand"))
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}
