package pods

import (
	"cmp"
	"log/slog"
	"time"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/tuning/sysctl"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
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
	// Every is how often what stands in a pod is looked at again, a minute unless set.
	Every time.Duration
	Log   *slog.Logger
}

// Pods implements tuning.Pods.
type Pods struct {
	o Options

	source  Source
	looks   map[plan.Target]*look
	trouble string // last logged
}

// look is what was seen of a pod's network last.
type look struct {
	at time.Time
	// of is what the rest depends on.
	of string
	// statuses are what became of the settings; again says that they are not final.
	statuses []v1alpha1.SettingStatus
	again    bool
	// listened are the ports that something has listened on since the agent knows the
	// pod.
	listened []ports.Range
}

// New makes Pods.
func New(o Options) *Pods {
	o.Every = cmp.Or(o.Every, time.Minute)
	return &Pods{o: o, looks: map[plan.Target]*look{}}
}

// RunCycle implements tuning.Pods.
func (p *Pods) RunCycle(settings []v1alpha1.Setting, facts plan.Facts, t tuning.Networks) []v1alpha1.SettingStatus {
	if settings == nil || len(settings)+len(t.Targets()) == 0 {
		return nil
	}
	spaces, err := p.spaces(t)
	if err == nil && len(settings) > 0 {
		err = p.open()
	}
	var ws wishes
	if err == nil {
		ws, err = compile(settings)
	}
	p.tell(err)
	if err != nil {
		return everywhere(settings, v1alpha1.SettingFailed, err.Error())
	}
	if len(settings) > 0 && !p.source.Synced() {
		return everywhere(settings, v1alpha1.SettingPending, "the pods of this node are not known yet: the API server has not answered")
	}
	c := cycle{Pods: p, wishes: ws, facts: facts, counts: tally{}, held: t.Targets()}
	for _, s := range spaces {
		c.visit(s)
	}
	c.hold(t)
	c.miss(spaces)
	return c.statuses(settings)
}

func (p *Pods) open() (err error) {
	if p.source == nil {
		p.source, err = p.o.Open()
	}
	return err
}

// tell logs once what keeps all pods as they are: with nothing asked for, no status says
// it.
func (p *Pods) tell(err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if why != "" && why != p.trouble {
		p.o.Log.Error("pods can't be tuned; trying again", "why", why)
	}
	p.trouble = why
}

func everywhere(settings []v1alpha1.Setting, state v1alpha1.SettingState, why string) []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(settings))
	for i := range settings {
		s := &settings[i]
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value, State: state, Message: clip(why)})
	}
	return list
}

// listening are the ports that services have in the calling thread's network.
func (p *Pods) listening() ([]ports.Range, error) { return sysctl.ReadListeners(p.o.Sysctls.Read) }
