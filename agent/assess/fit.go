package assess

import (
	"encoding/json"
	"fmt"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
)

// MaxStatusBytes is how much room a status has in the object, as JSON.
const MaxStatusBytes = 6000

// TrimToSize leaves out of a complete status what it has no room for, the least telling
// first: why something can't be done here, rare failures, then the second pools, the
// values of settings, the better of the networks past the line, and settings that are as
// they should be, but for their number. Names decide how much that is: a pod's may have
// 317 characters.
// The tightest pool always stays. The agent's report has everything.
func TrimToSize(status *v1alpha1.PortPressureStatus) error {
	for {
		raw, err := json.Marshal(status)
		if err != nil {
			return fmt.Errorf("measure the status: %w", err)
		}
		if len(raw) <= MaxStatusBytes {
			return nil
		}
		if !trimNext(status) {
			return fmt.Errorf("the status has %d bytes, more than %d, and nothing that could be left out", len(raw), MaxStatusBytes)
		}
	}
}

// trimNext leaves one thing out; false when there is nothing left.
func trimNext(s *v1alpha1.PortPressureStatus) bool {
	last := len(s.Networks) - 1
	switch {
	case dropCapabilityMessages(s.Capabilities):
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
	case len(s.Settings) > 0: // not one of them is Applied: their controller waits until there is room
		s.Settings, s.OmittedSettings = s.Settings[:len(s.Settings)-1], nil
	default:
		return false
	}
	return true
}

// trimSetting leaves something of one setting out: first what stands as it should says
// no more than that, then the values of all go, and the ends of long messages. The
// state stays, and since when: a rollout goes by both.
func trimSetting(settings []v1alpha1.SettingStatus) bool {
	for i := range settings {
		s := &settings[i]
		thin := v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: s.Scope, State: s.State,
			LastTransitionTime: s.LastTransitionTime, PodsApplied: s.PodsApplied, PodsRefused: s.PodsRefused}
		if s.State == v1alpha1.SettingApplied && *s != thin {
			*s = thin
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

// omitAppliedSetting leaves out the last setting that is Applied, and counts it.
func omitAppliedSetting(s *v1alpha1.PortPressureStatus) bool {
	for i, one := range slices.Backward(s.Settings) {
		if one.State != v1alpha1.SettingApplied {
			continue
		}
		out := v1alpha1.OmittedSettings{Count: 1, LastTransitionTime: one.LastTransitionTime}
		if before := s.OmittedSettings; before != nil {
			out.Count += before.Count
			if out.LastTransitionTime.Before(before.LastTransitionTime) {
				out.LastTransitionTime = before.LastTransitionTime
			}
		}
		s.Settings, s.OmittedSettings = slices.Delete(s.Settings, i, i+1), &out
		return true
	}
	return false
}

// maxTrimmedMessage is how long a setting's message is where there is no room.
const maxTrimmedMessage = 100

// dropCapabilityMessages leaves the names and states; false where there is nothing else.
func dropCapabilityMessages(list []v1alpha1.Capability) (dropped bool) {
	for i := range list {
		dropped = dropped || list[i].Message != ""
		list[i].Message = ""
	}
	return dropped
}

// dropSecondPool leaves one pool in the last network that has more.
func dropSecondPool(networks []v1alpha1.Network) bool {
	for i := len(networks) - 1; i >= 0; i-- {
		if n := &networks[i]; len(n.Pools) > 1 {
			n.Pools = n.Pools[:1]
			return true
		}
	}
	return false
}
