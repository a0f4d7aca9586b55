package tuning

import (
	"errors"

	"k8s.io/apimachinery/pkg/api/equality"

	"portreeve.io/portreeve/agent/tuning/journal"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
)

// prepareJournal opens the journal and records the desired state.
func (t *Tuner) prepareJournal(requested *journal.DesiredState) error {
	if t.journal == nil {
		if err := t.openJournal(); err != nil {
			return err
		}
	}
	if requested == nil {
		return nil
	}
	next := *requested
	if next.Settings == nil {
		next.Settings = t.findLastSettings(requested.NodeUID)
	}
	if next.Settings != nil && !isSameState(next, t.journal.Desired()) {
		if err := t.journal.SetDesired(next); err != nil {
			return err
		}
	}
	if !isSameState(next, t.desired) {
		t.desired, t.released = next, nil
	}
	return nil
}

// findLastSettings returns the settings that stay enforced because none were received:
// those that this process enforces, or that an earlier one received for the same Node.
func (t *Tuner) findLastSettings(nodeUID string) []v1alpha1.Setting {
	last := t.journal.Desired()
	if t.desired.Settings == nil && nodeUID != "" && nodeUID == last.NodeUID {
		return last.Settings
	}
	return t.desired.Settings
}

// isFromThisBoot reports whether the journal's desired state was received in this boot. It
// otherwise may be that of another machine, of whose image this one was made.
func (t *Tuner) isFromThisBoot() bool {
	if last := t.journal.Desired().Boot; last != "" {
		return plan.IsSameBoot(last, t.o.Boot)
	}
	return t.journal.HasBoot(t.o.Boot) // an older agent has recorded only those of entries
}

// openJournal opens the journal.
func (t *Tuner) openJournal() error {
	disk, err := t.o.Disk()
	if err != nil {
		return err
	}
	boot := t.o.Boot
	if t.o.OS.IsPersistent() {
		boot = ""
	}
	j, err := journal.Open(disk, boot, t.o.Now())
	t.disk = disk
	if err != nil {
		return errors.Join(err, t.Close()) // it is opened again in the next cycle
	}
	if why := j.LostReason(); why != "" {
		t.o.Log.Error("original values are not known", "why", why)
	}
	t.journal, t.desired = j, journal.DesiredState{}
	if t.isFromThisBoot() {
		t.desired = j.Desired()
	}
	return nil
}

// findNodeUID returns the UID of the Node that owns p, or "" if it has no owner yet.
func findNodeUID(p *v1alpha1.PortPressure) string {
	for _, o := range p.OwnerReferences {
		if o.Kind == "Node" {
			return string(o.UID)
		}
	}
	return ""
}

// isSameState reports whether a and b are equal. An empty list differs from nil.
func isSameState(a, b journal.DesiredState) bool {
	return equality.Semantic.DeepEqual(a, b) && (a.Settings == nil) == (b.Settings == nil)
}
