package rollout

import (
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
)

// These are the defaults of a Rollout.
const (
	defaultMaxUnavailable   = "10%"
	defaultMaxFailed        = "1%"
	defaultCanaries         = 1
	defaultSoak             = 300
	defaultBatchSoak        = 60
	defaultProgressDeadline = 600
)

// maxSoaks limits the soak time of inconclusive canaries, in multiples of soakSeconds.
const maxSoaks = 10

// maxFailureGrace limits the time that failures have to heal before they stop a rollout.
const maxFailureGrace = 30 * time.Second

// options are the fields of a Rollout, with its defaults.
type options struct {
	canaryCount              int
	soak, batchSoak          time.Duration
	deadline                 time.Duration
	maxUnavailable           intstr.IntOrString
	maxFailed                *intstr.IntOrString
	manualApproval, isPaused bool
	reverts                  bool
}

func newOptions(r *v1alpha1.Rollout) options {
	o := options{
		canaryCount:    defaultCanaries,
		soak:           secondsOr(r.SoakSeconds, defaultSoak),
		batchSoak:      secondsOr(r.BatchSoakSeconds, defaultBatchSoak),
		deadline:       secondsOr(r.ProgressDeadlineSeconds, defaultProgressDeadline),
		maxUnavailable: intstr.FromString(defaultMaxUnavailable),
		maxFailed:      r.MaxFailed,
		manualApproval: r.Approval == v1alpha1.ApprovalManual,
		isPaused:       r.Paused,
		reverts:        r.OnRegression == v1alpha1.OnRegressionRevert,
	}
	if r.Canaries != nil {
		o.canaryCount = int(*r.Canaries)
	}
	if r.MaxUnavailable != nil {
		o.maxUnavailable = *r.MaxUnavailable
	}
	return o
}

func secondsOr(n *int32, otherwise int32) time.Duration {
	if n != nil {
		otherwise = *n
	}
	return time.Duration(otherwise) * time.Second
}

// computeMaxUnavailable returns how many of the given number of nodes may be changing at
// the same time, at least 1.
func (o *options) computeMaxUnavailable(nodes int) int {
	return max(1, scaleValue(o.maxUnavailable, nodes, 1))
}

// ComputeMaxUnavailable returns how many of the given number of nodes, those of the
// NodeTuning whose agents can change settings, it may change at the same time, at least 1.
func ComputeMaxUnavailable(t *v1alpha1.NodeTuning, nodes int) int {
	o := newOptions(&t.Spec.Rollout)
	return o.computeMaxUnavailable(nodes)
}

// computeMaxFailed returns on how many of the given number of nodes the update may fail.
func (o *options) computeMaxFailed(nodes int) int {
	if o.maxFailed == nil {
		return max(1, scaleValue(intstr.FromString(defaultMaxFailed), nodes, 1))
	}
	return scaleValue(*o.maxFailed, nodes, 0)
}

// scaleValue returns a number, or a percentage of nodes rounded up. The API rejects values
// that cannot be parsed, for which it returns otherwise.
func scaleValue(v intstr.IntOrString, nodes, otherwise int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(&v, nodes, true)
	if err != nil {
		return otherwise
	}
	return n
}

// failureGrace returns how long more nodes than maxFailed must have failed before that
// stops the rollout.
func (o *options) failureGrace() time.Duration { return min(o.batchSoak, maxFailureGrace) }
