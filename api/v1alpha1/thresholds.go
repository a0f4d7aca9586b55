package v1alpha1

import "cmp"

// Thresholds configures the usage of a pool in percent, 1 to 100, at which levels
// begin.
//
// +kubebuilder:validation:XValidation:rule="(has(self.warningPercent) ? self.warningPercent : 50) <= (has(self.criticalPercent) ? self.criticalPercent : 85)",message="thresholds: warningPercent (50 unless set) must not be above criticalPercent (85 unless set)"
type Thresholds struct {
	// warningPercent is the usage in percent at which the level Warning begins.
	// Defaults to 50. Above 50 %, connect() on Linux also searches the other parity of
	// the range and gets slower (net/ipv4/inet_hashtables.c, __inet_hash_connect).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	WarningPercent int32 `json:"warningPercent,omitempty"`
	// criticalPercent is the usage in percent at which the level Critical begins. It
	// must be at least warningPercent. Defaults to 85.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	CriticalPercent int32 `json:"criticalPercent,omitempty"`
}

// Default thresholds.
const (
	DefaultWarningPercent  int32 = 50
	DefaultCriticalPercent int32 = 85
)

// WithDefaults returns t with what is unset replaced by the defaults.
func (t Thresholds) WithDefaults() Thresholds {
	return t.WithDefaultsFrom(Thresholds{WarningPercent: DefaultWarningPercent, CriticalPercent: DefaultCriticalPercent})
}

// WithDefaultsFrom returns t with what is unset replaced by defaults, both of which must
// be set. A threshold that is set moves the other one with it where the default would put
// the two in the wrong order.
func (t Thresholds) WithDefaultsFrom(defaults Thresholds) Thresholds {
	warning, critical := t.WarningPercent, t.CriticalPercent
	if warning == 0 {
		warning = min(defaults.WarningPercent, cmp.Or(t.CriticalPercent, defaults.WarningPercent))
	}
	if critical == 0 {
		critical = max(defaults.CriticalPercent, t.WarningPercent)
	}
	return Thresholds{WarningPercent: warning, CriticalPercent: critical}
}

// Level returns the level of a pool that is percent used.
func (t Thresholds) Level(percent int32) Level {
	t = t.WithDefaults()
	switch {
	case percent >= t.CriticalPercent:
		return LevelCritical
	case percent >= t.WarningPercent:
		return LevelWarning
	}
	return LevelNormal
}
