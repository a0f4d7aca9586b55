// Package pace limits how many nodes all NodeTunings together change at the same time, as
// configured in the ConfigMap portreeve-pace. It is pure.
package pace

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Config is the content of the ConfigMap. The zero value sets no limit.
type Config struct {
	// MaxUnavailable is the number or percentage of the cluster's nodes that may be
	// changing at the same time. Nil means the highest limit of a single NodeTuning.
	MaxUnavailable *intstr.IntOrString
	// Paused stops all rollouts and releases.
	Paused bool
	// PauseWhenNodesNotReady is the number or percentage of the cluster's nodes from which
	// nodes that are not ready stop all rollouts and releases. Nil disables this.
	PauseWhenNodesNotReady *intstr.IntOrString
	// Problem explains which key is invalid. Rollouts then stop.
	Problem string
}

// The keys of the ConfigMap.
const (
	keyMaxUnavailable = "maxUnavailable"
	keyPaused         = "paused"
	keyNotReady       = "pauseWhenNodesNotReady"
)

// Parse parses the data of the ConfigMap. Empty values are ignored, like absent ones.
func Parse(data map[string]string) (c Config) {
	for key, value := range data {
		value = strings.TrimSpace(value)
		var err error
		switch {
		case value == "":
		case key == keyMaxUnavailable:
			c.MaxUnavailable, err = parseNodes(value)
		case key == keyNotReady:
			c.PauseWhenNodesNotReady, err = parseNodes(value)
		case key == keyPaused:
			if c.Paused, err = strconv.ParseBool(value); err != nil {
				err = fmt.Errorf("%q is not true or false", value)
			}
		default:
			err = fmt.Errorf("unknown key: use %s, %s or %s", keyMaxUnavailable, keyPaused, keyNotReady)
		}
		if err != nil {
			c.Problem = fmt.Sprintf("rollouts are stopped because the ConfigMap %s is invalid: %s: %v", v1alpha1.PaceConfigMap, key, err)
		}
	}
	return c
}

// parseNodes parses a number of nodes of at least 1, or a percentage from 1% to 100%.
func parseNodes(value string) (*intstr.IntOrString, error) {
	number, isPercent := strings.CutSuffix(value, "%")
	n, err := strconv.ParseInt(number, 10, 32)
	switch {
	case err != nil || n < 1 || isPercent && n > 100:
		return nil, fmt.Errorf("%q must be a number of nodes of at least 1, or a percentage from 1%% to 100%%", value)
	case isPercent:
		return new(intstr.FromString(value)), nil
	}
	return new(intstr.FromInt32(int32(n))), nil
}

// ExplainPause returns why all rollouts are stopped, an empty string if they are not. nodes
// is the number of nodes in the cluster, notReady the number of those that are not ready.
func (c Config) ExplainPause(nodes, notReady int) string {
	switch {
	case c.Problem != "":
		return c.Problem
	case c.Paused:
		return fmt.Sprintf("paused is true in the ConfigMap %s", v1alpha1.PaceConfigMap)
	case c.PauseWhenNodesNotReady != nil && notReady >= scale(c.PauseWhenNodesNotReady, nodes):
		return fmt.Sprintf("%d of %d nodes are not ready, and %s is %s in the ConfigMap %s",
			notReady, nodes, keyNotReady, c.PauseWhenNodesNotReady, v1alpha1.PaceConfigMap)
	}
	return ""
}

// Limit returns how many of the cluster's nodes may be changing at the same time, at least
// 1. If the ConfigMap sets no limit, it is highest: the highest limit of a NodeTuning.
func (c Config) Limit(nodes, highest int) int {
	if c.MaxUnavailable == nil {
		return highest
	}
	return scale(c.MaxUnavailable, nodes)
}

// scale returns a number of nodes, rounded up, at least 1.
func scale(value *intstr.IntOrString, nodes int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(value, nodes, true)
	if err != nil { // parseNodes has checked it
		return 1
	}
	return max(1, n)
}
