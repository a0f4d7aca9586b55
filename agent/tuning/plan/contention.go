package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

const (
	// After maxRepairs within repairWindow, a key is left to the other program for
	// contestedPause, after which one more repair is attempted.
	maxRepairs     = 2
	repairWindow   = 7 * 24 * time.Hour
	contestedPause = 6 * time.Hour
	// After a failed write, the next attempt waits for minRetryDelay, and twice as long
	// after each further one, up to maxRetryDelay.
	minRetryDelay = 10 * time.Second
	maxRetryDelay = 10 * time.Minute
)

// findMemory returns the Memory of key, which a new process takes from the journal, unless
// the machine was restarted.
func (b *planBuilder) findMemory(key string) Memory {
	if m, known := b.in.Memory[key]; known {
		return m
	}
	if e, ok := b.in.Entries[key]; ok && IsSameBoot(e.Boot, b.in.Boot) {
		return e.Memory
	}
	return Memory{}
}

// rememberApplied records that key has the value desired.
func (b *planBuilder) rememberApplied(key, desired string) {
	m := b.recallMemory(key, desired)
	m.Applied, m.Overridden, m.Contested, m.Failures = true, false, time.Time{}, 0
	b.plan.Memory[key] = m
}

// rememberActivation returns the Memory of w, which is about to be written, with the time
// if that is because of pressure.
func (b *planBuilder) rememberActivation(w desiredSetting) Memory {
	m := b.plan.Memory[w.Key]
	if _, inJournal := b.findEntry(w.Key); !inJournal && w.Activation == v1alpha1.ActivationUnderPressure {
		m.Activations = append(m.Activations, b.in.Now)
		b.plan.Memory[w.Key] = m
	}
	return m
}

// recallMemory returns the Memory of key if it refers to the value desired.
func (b *planBuilder) recallMemory(key, desired string) Memory {
	m := b.findMemory(key)
	m.Activations = b.listActivations(key)
	if m.Desired != desired {
		return Memory{Desired: desired, Overridden: m.Overridden, Activations: m.Activations}
	}
	m.Repairs = slices.DeleteFunc(slices.Clone(m.Repairs), func(t time.Time) bool {
		return b.in.Now.Sub(t).Abs() >= repairWindow
	})
	if !m.Contested.IsZero() && b.in.Now.Sub(m.Contested).Abs() >= contestedPause {
		m.Contested, m.Repairs = time.Time{}, m.Repairs[min(1, len(m.Repairs)):]
	}
	return m
}

// checkContention returns why key, which has another value than desired, is not written
// now, or "". isOurs means that Portreeve wrote the current value, so that no other
// program is involved.
func (b *planBuilder) checkContention(key, desired string, isOurs bool) (state v1alpha1.SettingState, why string) {
	if b.in.Lost != "" {
		return v1alpha1.SettingFailed, b.in.Lost
	}
	m := b.recallMemory(key, desired)
	switch drifted := m.Applied && !isOurs && m.Contested.IsZero(); {
	case drifted && len(m.Repairs) < maxRepairs:
		m.Repairs = append(m.Repairs, b.in.Now)
	case drifted:
		m.Contested = b.in.Now
	}
	b.plan.Memory[key] = m
	if m.Contested.IsZero() {
		return "", ""
	}
	if e, inJournal := b.findEntry(key); inJournal {
		e.Memory = m
		b.addEntry(e)
	}
	return v1alpha1.SettingContested, fmt.Sprintf("%s: another program, probably %s, keeps changing it: Portreeve has rewritten it %d times, and now leaves it alone for %d hours; remove the setting from one of the two",
		key, b.guessWriter(key), maxRepairs, int(contestedPause.Hours()))
}

// guessWriter returns the programs that probably write key.
func (b *planBuilder) guessWriter(key string) string {
	if b.in.resolveOS() == settings.Windows {
		return "a group policy, a script of the node's image or another agent"
	}
	if strings.HasPrefix(key, "net.netfilter.nf_conntrack") {
		return "kube-proxy (conntrack in its configuration)"
	}
	return "systemd-sysctl, TuneD, Cilium or another agent that sets sysctls"
}
