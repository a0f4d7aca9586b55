package pods_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/podspec"
	"portreeve.io/portreeve/api/v1alpha1"
)

func labeled(name, app string) podspec.Pod {
	return podspec.Pod{Namespace: "shop", Name: name, Labels: map[string]string{"app": app}}
}

func to(app string) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) {
		s.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
	}
}

func TestSettingsAreHeldInPodsAndGivenBack(t *testing.T) {
	n := newNode(t)
	api, db := n.start(labeled("api", "api")), n.start(labeled("db", "db"))
	was := api.read(fin)
	a := n.agent()
	a.want(inPods(fin, "17", to("api")), inPods(rangeKey, "20000 65001", to("api")))
	a.until("both settings in the pod", func() bool { return a.held(rangeKey) == 1 && a.held(fin) == 1 })
	if got := api.read(fin) + ", " + api.read(rangeKey); got != "17, 20000 65001" {
		t.Errorf("the pod has %s", got)
	}
	if got := db.read(fin); got != was {
		t.Errorf("a pod that is not selected has %s, not %s", got, was)
	}
	if s := a.status(fin + "@pods"); *s.PodsHeld != 1 || *s.PodsRefused != 0 || *s.Original != was || *s.Have != "17" {
		t.Errorf("its status is %+v", s)
	}

	later := n.start(labeled("api-2", "api"))
	a.until("the new pod", func() bool { return later.read(fin) == "17" && a.held(fin) == 2 })

	n.learn(podspec.Pod{UID: api.UID, Namespace: "shop", Name: "api", Labels: map[string]string{"app": "edited"}})
	a.until("the pod that is selected no more", func() bool { return api.read(fin) == was })
	if got := api.read(rangeKey); got != "32768 60999" {
		t.Errorf("its range is %s", got)
	}

	later.Sysctl(fin, "99") // somebody else's wish, which is what there is to go back to then
	a.until("a repair", func() bool { return later.read(fin) == "17" })

	a.want()
	a.until("everything given back", func() bool { return later.read(fin)+" "+later.read(rangeKey) == "99 32768 60999" })
	a.want(inPods(fin, "18"))
	a.until("another tuning of all pods", func() bool { return api.read(fin)+db.read(fin)+later.read(fin) == "181818" })
}

func TestNobodyGivesBackByAccident(t *testing.T) {
	n := newNode(t)
	api := n.start(labeled("api", "api"))
	a := n.agent()
	a.want(inPods(fin, "17", to("api")))
	a.until("the setting", func() bool { return api.read(fin) == "17" })
	a.stop()
	n.silent = true
	n.forget(api)
	a = n.agent()
	a.Poke()
	a.want(inPods(fin, "17", to("api")))
	a.until("that the pods are not known", func() bool { return a.status(fin+"@pods").State == v1alpha1.SettingPending })
	n.mu.Lock()
	n.silent = false
	n.mu.Unlock()
	a.until("that no pod is known", func() bool { return a.status(fin+"@pods").Message == "no pod on this node is selected" })
	a.want(inPods(fin, "17", func(s *v1alpha1.Setting) {
		s.PodSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	}))
	a.until("the selector that can't be read", func() bool { return a.status(fin+"@pods").State == v1alpha1.SettingFailed })
	if got := api.read(fin); got != "17" {
		t.Errorf("the pod has %s: it was given back", got)
	}
	a.want() // whoever the pod is: nobody wants anything
	a.until("the original", func() bool { return api.read(fin) == "60" })
}

func TestWhatAPodCannotHaveIsRefusedAndTheRestIsHeld(t *testing.T) {
	n := newNode(t)
	own := labeled("own", "api")
	own.Sysctls = []string{fin}
	api, chooses := n.start(labeled("api", "api")), n.start(own)
	chooses.Sysctl(fin, "45")
	a := n.agent()
	a.want(inPods("net.netfilter.nf_conntrack_max", "300000"), inPods(fin, "17"), inPods(reuse, "1"))
	a.until("the settings", func() bool { return a.held(reuse) == 2 })
	if s := a.status("net.netfilter.nf_conntrack_max@pods"); s.State != v1alpha1.SettingRefused || *s.PodsRefused != 2 {
		t.Errorf("nf_conntrack_max in pods is %+v", s)
	}
	s := a.status(fin + "@pods")
	if s.State != v1alpha1.SettingApplied || *s.PodsHeld != 1 || *s.PodsRefused != 1 ||
		s.Message != "refused in shop/own: the pod sets it itself (securityContext.sysctls), and that stays" {
		t.Errorf("%s: %s", s.State, s.Message)
	}
	if got := api.read(fin) + " " + chooses.read(fin) + " " + chooses.read(reuse); got != "17 45 1" {
		t.Errorf("the pods have %s", got)
	}
}
