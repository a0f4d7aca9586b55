package pods

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/sysctl"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// Source provides the specs of the node's pods. podspecs.Watch implements it.
type Source interface {
	HasSynced() bool
	FindPod(uid string) (podspecs.Pod, bool)
	ListPods() []podspecs.Pod
	FindNamespaceLabels(name string) (labels map[string]string, known bool)
}

// Options configure Pods.
type Options struct {
	// Root is the directory with the files of network namespaces, as the agent sees it.
	Root string
	// Sysctls reads and writes the sysctls of the calling thread's network namespace.
	Sysctls tuning.Store
	// Owners returns all network namespaces with their owners.
	Owners func() ([]netns.Namespace, error)
	// Open starts to watch the node's pods. It is called once pods are needed for the
	// first time.
	Open func() (Source, error)
	// RecheckInterval is the time after which the values in a pod are read again, a minute
	// by default.
	RecheckInterval time.Duration
	Log             *slog.Logger
}

// Pods implements tuning.Pods.
type Pods struct {
	options Options

	source    Source
	states    map[plan.Target]*podState
	lastError string // the last one that was logged
}

// podState is the result of the last check of a pod's network namespace.
type podState struct {
	checkedAt time.Time
	// fingerprint identifies the inputs of that check.
	fingerprint string
	// statuses are those of the settings. retry is set while any of them may change.
	statuses []v1alpha1.SettingStatus
	retry    bool
	// listened are the ports that had a listener since the agent first saw the pod.
	listened []ports.Range
}

// New returns Pods with the given options.
func New(o Options) *Pods {
	o.RecheckInterval = cmp.Or(o.RecheckInterval, time.Minute)
	return &Pods{options: o, states: map[plan.Target]*podState{}}
}

// RunCycle implements tuning.Pods.
func (p *Pods) RunCycle(settings []v1alpha1.Setting, facts plan.Facts, t tuning.Networks) []v1alpha1.SettingStatus {
	if settings == nil || len(settings)+len(t.Targets()) == 0 {
		return nil
	}
	list, err := p.listPodNetns(t)
	if err == nil && len(settings) > 0 {
		err = p.openSource()
	}
	var candidates candidateList
	if err == nil {
		candidates, err = compileCandidates(settings)
	}
	p.logError(err)
	if err != nil {
		return append(repeatStatus(settings, v1alpha1.SettingFailed, err.Error()), listUnrestored(settings, t.PodKeys(), err)...)
	}
	if len(settings) > 0 && !p.source.HasSynced() {
		return repeatStatus(settings, v1alpha1.SettingPending, "pods of this node not known yet (waiting for the API server)")
	}
	c := podCycle{Pods: p, candidates: candidates, facts: facts, aggregator: statusAggregator{}, journaled: t.Targets()}
	for _, s := range list {
		c.visitPod(s)
	}
	c.enforceDue(t)
	c.reportMissing(list)
	return c.buildStatuses(settings)
}

func (p *Pods) openSource() (err error) {
	if p.source == nil {
		p.source, err = p.options.Open()
	}
	return err
}

// listUnrestored returns a status for each of the journal's keys that no setting has: it
// should be restored in pods, which is not possible because of err.
func listUnrestored(settings []v1alpha1.Setting, keys []string, err error) (list []v1alpha1.SettingStatus) {
	for _, key := range keys {
		if slices.ContainsFunc(settings, func(s v1alpha1.Setting) bool { return s.Key == key }) {
			continue
		}
		list = append(list, v1alpha1.SettingStatus{ID: key + restoredSuffix, Key: key, Scope: string(v1alpha1.ScopePods),
			State: v1alpha1.SettingFailed, Message: truncateMessage(err.Error())})
	}
	return list
}

// logError logs an error that concerns all pods, once until it changes.
func (p *Pods) logError(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != p.lastError {
		p.options.Log.Error("can't tune pods; retrying", "why", text)
	}
	p.lastError = text
}

// repeatStatus returns the same state and message for each of the settings.
func repeatStatus(settings []v1alpha1.Setting, state v1alpha1.SettingState, message string) []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(settings))
	for i := range settings {
		s := &settings[i]
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: state, Message: truncateMessage(message)})
	}
	return list
}

// readListeners returns the listening ports of the calling thread's network namespace.
func (p *Pods) readListeners() ([]ports.Range, error) {
	return sysctl.ReadListeners(p.options.Sysctls.Read)
}
