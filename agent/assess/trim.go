package assess

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// MaxStatusBytes is the maximum size of a status in the object, as JSON.
const MaxStatusBytes = 6000

// TrimToSize removes details from a complete status until it has at most MaxStatusBytes.
// It removes the least informative ones first: the reasons of capabilities, the ports of a range collision, rare failures,
// the second pools, the values of settings, all but the tightest network, and applied
// settings, of which the number remains. How many it removes depends on the length of
// names: a pod's can have 317 characters. The tightest pool is never removed. The agent's
// report is not trimmed.
func TrimToSize(status *v1alpha1.PortPressureStatus) error {
	for {
		raw, err := json.Marshal(status)
		if err != nil {
			return fmt.Errorf("encode the status: %w", err)
		}
		if len(raw) <= MaxStatusBytes {
			return nil
		}
		if !trimNext(status) {
			return fmt.Errorf("the status has %d bytes, more than the limit of %d, and nothing left to trim", len(raw), MaxStatusBytes)
		}
	}
}

// trimNext removes one detail. It returns false if there is none left to remove.
func trimNext(s *v1alpha1.PortPressureStatus) bool {
	last := len(s.Networks) - 1
	switch {
	case dropCapabilityMessages(s.Capabilities):
	case shortenCollision(s.Conditions):
	case len(s.Failures) > 1:
		s.Failures = s.Failures[:len(s.Failures)-1]
	case dropSecondPool(s.Networks):
	case trimSetting(s.Settings):
	case last > 0:
		s.Networks = s.Networks[:last]
	case len(s.Failures) > 0 || last == 0:
		s.Failures, s.Networks = nil, nil
	case len(s.Capabilities) > 0:
		s.Capabilities = nil
	case omitAppliedSetting(s):
	case len(s.Settings) > 0: // none of them is Applied; the controller waits until the list is complete
		s.Settings, s.OmittedSettings = s.Settings[:len(s.Settings)-1], nil
	default:
		return false
	}
	return true
}

// trimSetting removes details of one setting: first all those of applied settings, then
// the values of the others and the ends of long messages. The state and its transition
// time remain, since rollouts depend on both.
func trimSetting(settings []v1alpha1.SettingStatus) bool {
	for i := range settings {
		s := &settings[i]
		trimmed := v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: s.Scope, State: s.State,
			LastTransitionTime: s.LastTransitionTime, PodsApplied: s.PodsApplied, PodsRefused: s.PodsRefused}
		if s.State == v1alpha1.SettingApplied && *s != trimmed {
			*s = trimmed
			return true
		}
	}
	for i := range settings {
		if s := &settings[i]; s.Desired != nil || s.Current != nil || s.Original != nil || len([]rune(s.Message)) > maxTrimmedMessage {
			s.Desired, s.Current, s.Original, s.Message = nil, nil, nil, cleanText(s.Message, maxTrimmedMessage)
			return true
		}
	}
	return false
}

// omitAppliedSetting removes the last setting that is Applied, and counts it.
func omitAppliedSetting(s *v1alpha1.PortPressureStatus) bool {
	for i, setting := range slices.Backward(s.Settings) {
		if setting.State != v1alpha1.SettingApplied {
			continue
		}
		omitted := v1alpha1.OmittedSettings{Count: 1, LastTransitionTime: setting.LastTransitionTime}
		if before := s.OmittedSettings; before != nil {
			omitted.Count += before.Count
			if omitted.LastTransitionTime.Before(before.LastTransitionTime) {
				omitted.LastTransitionTime = before.LastTransitionTime
			}
		}
		s.Settings, s.OmittedSettings = slices.Delete(s.Settings, i, i+1), &omitted
		return true
	}
	return false
}

// maxTrimmedMessage is the maximum length of a setting's message in a trimmed status.
const maxTrimmedMessage = 100

// dropCapabilityMessages removes all messages. It returns false if there were none.
func dropCapabilityMessages(list []v1alpha1.Capability) (dropped bool) {
	for i := range list {
		dropped = dropped || list[i].Message != ""
		list[i].Message = ""
	}
	return dropped
}

// shortenCollision shortens the message of PortRangeCollision, the longest one. It returns false
// if it is short.
func shortenCollision(list []metav1.Condition) bool {
	c := meta.FindStatusCondition(list, v1alpha1.ConditionPortRangeCollision)
	if c == nil || len([]rune(c.Message)) <= maxTrimmedMessage {
		return false
	}
	c.Message = cleanText(c.Message, maxTrimmedMessage)
	return true
}

// dropSecondPool removes all pools but the first from the last network that has more.
func dropSecondPool(networks []v1alpha1.Network) bool {
	for i := len(networks) - 1; i >= 0; i-- {
		if n := &networks[i]; len(n.Pools) > 1 {
			n.Pools = n.Pools[:1]
			return true
		}
	}
	return false
}
