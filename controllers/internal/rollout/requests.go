package rollout

import (
	"strconv"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// maxBy limits the text that identifies a request.
const maxBy = 253

// acceptRequests records the requests that users have made with annotations for the current
// revision, and lifts the stop if they resume the rollout. Each is accepted once: a request
// to resume that is older than a stop does not lift it.
func (c *rolloutState) acceptRequests() {
	p := &c.progress
	if r := c.readRequest(v1alpha1.AnnotationApprove, v1alpha1.AnnotationApprovedBy, p.Approved); r != nil {
		p.Approved = r
	}
	r := c.readRequest(v1alpha1.AnnotationResume, v1alpha1.AnnotationResumedBy, p.Resumed)
	if r == nil {
		return
	}
	p.Resumed = r
	if p.Stop == nil {
		return
	}
	p.Stop, p.Clock, p.Overdue = nil, v1alpha1.RolloutClock{}, nil
	p.ToleratedFailures = int32(len(c.failed))
	p.Batch.StartedAt = c.now() // what was observed before no longer counts
	if c.reverts {
		p.Batch, p.Canaries = v1alpha1.RolloutBatch{}, nil
	}
}

// readRequest returns the request in the annotations, nil if there is none for the current
// revision or last is the same.
func (c *rolloutState) readRequest(annotation, by string, last *v1alpha1.RolloutRequest) *v1alpha1.RolloutRequest {
	revision := c.Tuning.Generation
	if c.Tuning.Annotations[annotation] != strconv.FormatInt(revision, 10) {
		return nil
	}
	r := &v1alpha1.RolloutRequest{Revision: revision, By: text.TruncateBytes(c.Tuning.Annotations[by], maxBy), At: *c.now()}
	if last != nil && last.Revision == r.Revision && last.By == r.By {
		return nil
	}
	return r
}

// needsApproval reports whether a user must approve the revision before nodes other than
// canaries are updated.
func (c *rolloutState) needsApproval() bool {
	a := c.progress.Approved
	return c.manualApproval && !c.isComplete() && (a == nil || a.Revision != c.Tuning.Generation)
}
