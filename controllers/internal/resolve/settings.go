package resolve

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// defaultCoolDown is the default of spec.coolDownSeconds.
const defaultCoolDown = 600

// ListSettings returns the settings of t for nodes with the given operating system, in the
// catalogue's order, those for the host before those for pods. It leaves out keys that the
// catalogue does not know, which the API rejects.
func ListSettings(os settings.OS, t *v1alpha1.NodeTuning) []v1alpha1.Setting {
	values := settings.ReadSpec(os, &t.Spec)
	template := v1alpha1.Setting{
		Mode:       t.Spec.Mode,
		Activation: t.Spec.Activation,
		From:       v1alpha1.SettingSource{Name: t.Name, Generation: t.Generation, Priority: t.Spec.Priority},
	}
	if t.Spec.Activation == v1alpha1.ActivationUnderPressure {
		template.CoolDownSeconds = defaultCoolDown
		if t.Spec.CoolDownSeconds != nil {
			template.CoolDownSeconds = *t.Spec.CoolDownSeconds
		}
	}
	var host, pods []v1alpha1.Setting
	for _, s := range settings.All() {
		value, ok := values[s.Key]
		if !ok {
			continue
		}
		one := template
		one.ID, one.Key, one.Value, one.Scope = s.Key, s.Key, value, v1alpha1.ScopeHost
		host = append(host, one)
		if p := t.Spec.Pods; p != nil && s.AppliesToPods() {
			one.ID, one.Scope = s.Key+"@"+hashSelectors(p), v1alpha1.ScopePods
			one.NamespaceSelector, one.PodSelector = p.NamespaceSelector.DeepCopy(), p.PodSelector.DeepCopy()
			pods = append(pods, one)
		}
	}
	return append(host, pods...)
}

// hashSelectors returns 8 hexadecimal digits that are the same for equal selectors.
func hashSelectors(p *v1alpha1.PodScope) string {
	all := &metav1.LabelSelector{} // means the same as an absent selector
	both := [2]*metav1.LabelSelector{p.NamespaceSelector, p.PodSelector}
	for i := range both {
		if both[i] == nil {
			both[i] = all
		}
	}
	text, err := json.Marshal(both)
	if err != nil { // two structs of strings
		return "00000000"
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))[:8]
}
