package pods

import (
	"cmp"
	"log/slog"
	"time"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// Source knows the node's pods: a podspec.Watch.
type Source interface {
	Synced() bool
	Pod(uid string) (podspecs.Pod, bool)
	All() []podspecs.Pod
	Namespace(name string) (labels map[string]string, known bool)
}

// Options of Pods.
type Options struct {
	// Root is the folder of the files of network namespaces, as the agent sees it.
	Root string
	// Sysctls are the settings of the calling thread's network namespace.
	Sysctls tuning.Store
	// Owners tells whose each network namespace is, by inode.
	Owners func() ([]netns.Namespace, error)
	// Open begins to watch the node's pods. It is called when a setting asks for pods
	// for the first time.
	Open func() (Source, error)
	// RecheckInterval is how often what stands in a pod is looked at again, a minute unless set.
	RecheckInterval time.Duration
	Log             *slog.Logger
}

// Pods implements tuning.Pods.
type Pods struct {
	options Options

	source    Source
	states    map[plan.Target]*podState
	lastError string // last logged
}

// podState is what was seen of a pod's network last.
type podState struct {
	checkedAt time.Time
	// fingerprint is what the rest depends on.
	fingerprint string
	// statuses are what became of the settings; again says that they are not final.
	statuses []v1alpha1.SettingStatus
	retry    bool
	// listened are the ports that something has listened on since the agent knows the
	// pod.
	listened []settings.Ports
}

// New makes Pods.
func New(o Options) *Pods {
	o.RecheckInterval = cmp.Or(o.RecheckInterval, time.Minute)
	return &Pods{options: o, states: map[plan.Target]*podState{}}
}

// Cycle implements tuning.Pods.
func (p *Pods) Cycle(settings []v1alpha1.Setting, facts plan.Facts, t tuning.Networks) []v1alpha1.SettingStatus {
	if settings == nil || len(settings)+len(t.Targets()) == 0 {
		return nil
	}
	spaces, err := p.listPodNetns(t)
	if err == nil && len(settings) > 0 {
		err = p.openSource()
	}
	var ws candidateList
	if err == nil {
		ws, err = compileCandidates(settings)
	}
	p.logError(err)
	if err != nil {
		return repeatStatus(settings, v1alpha1.SettingFailed, err.Error())
	}
	if len(settings) > 0 && !p.source.Synced() {
		return repeatStatus(settings, v1alpha1.SettingPending, "the pods of this node are not known yet: the API server has not answered")
	}
	c := podCycle{Pods: p, candidates: ws, facts: facts, aggregator: statusAggregator{}, journaled: t.Targets()}
	for _, s := range spaces {
		c.visitPod(s)
	}
	c.enforceDue(t)
	c.reportMissing(spaces)
	return c.buildStatuses(settings)
}

func (p *Pods) openSource() (err error) {
	if p.source == nil {
		p.source, err = p.options.Open()
	}
	return err
}

// logError logs once what keeps all pods as they are: with nothing asked for, no status says
// it.
func (p *Pods) logError(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if why != "" && why != p.lastError {
		p.options.Log.Error("pods can't be tuned; trying again", "why", why)
	}
	p.lastError = why
}

func repeatStatus(settings []v1alpha1.Setting, state v1alpha1.SettingState, why string) []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(settings))
	for i := range settings {
		s := &settings[i]
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: state, Message: clip(why)})
	}
	return list
}

// readListeners are the ports that services have in the calling thread's network.
func (p *Pods) readListeners() ([]settings.Ports, error) { return tuning.Listeners(p.options.Sysctls) }
