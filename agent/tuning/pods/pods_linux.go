package pods

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/netns"
	"portreeve.io/portreeve/agent/podspec"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/tunable"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Source knows the node's pods: a podspec.Watch.
type Source interface {
	Synced() bool
	Pod(uid string) (podspec.Pod, bool)
	All() []podspec.Pod
	Namespace(name string) (labels map[string]string, known bool)
}

// Options of Pods.
type Options struct {
	// Root is the folder of the files of network namespaces, as the agent sees it.
	Root string
	// Sysctls are the settings of the calling thread's network namespace.
	Sysctls tuning.Sysctls
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
	listened []tunable.Ports
}

// New makes Pods.
func New(o Options) *Pods {
	o.Every = cmp.Or(o.Every, time.Minute)
	return &Pods{o: o, looks: map[plan.Target]*look{}}
}

// space is a pod's network namespace.
type space struct {
	target plan.Target
	path   string
	inode  uint64
}

// Cycle implements tuning.Pods.
func (p *Pods) Cycle(settings []v1alpha1.Setting, facts plan.Facts, t tuning.Networks) []v1alpha1.SettingStatus {
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
		list = append(list, v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Want: &s.Value, State: state, Message: clip(why)})
	}
	return list
}

// spaces are the pods' network namespaces that can be entered. Those of the journal
// that are no more are forgotten.
func (p *Pods) spaces(t tuning.Networks) ([]space, error) {
	names, err := files(p.o.Root)
	if err != nil {
		return nil, fmt.Errorf("the network namespaces of pods can't be listed, and what stands in them is held: %w", err)
	}
	owners, err := p.o.Owners()
	if err != nil {
		return nil, fmt.Errorf("whose network namespaces are whose can't be told, and what stands in them is held: %w", err)
	}
	by := make(map[uint64]netns.Namespace, len(owners))
	living := census{cookies: make(map[uint64]bool, len(owners)), pods: map[string]int{}}
	for _, o := range owners {
		by[o.Inode] = o
		living.cookies[o.Cookie] = true
	}
	var list []space
	for _, name := range names {
		s := space{path: filepath.Join(p.o.Root, name)}
		var ok bool
		if s.inode, ok = inode(s.path); !ok {
			continue
		}
		o := by[s.inode]
		s.target = plan.Target{Pod: o.Owner.PodUID, Cookie: o.Cookie}
		if o.Cookie == 0 {
			if s.target.Cookie, err = cookieOf(s); err != nil {
				living.unseen = living.unseen || !vanished(err)
				continue
			}
			living.cookies[s.target.Cookie] = true
		}
		if o.Owner.Kind == socket.OwnerPod {
			living.pods[s.target.Pod]++
			list = append(list, s)
		}
	}
	p.forget(t, living)
	// A pod has one network. Where two seem to be its, somebody's process is a guest in
	// the other one, and time will tell.
	return slices.DeleteFunc(list, func(s space) bool { return living.pods[s.target.Pod] > 1 }), nil
}

// census is the network namespaces that there are.
type census struct {
	cookies map[uint64]bool
	pods    map[string]int // by UID: how many seem to be the pod's
	unseen  bool           // there are some more
}

// forget drops what is known of networks that certainly are no more.
func (p *Pods) forget(t tuning.Networks, living census) {
	gone := func(target plan.Target) bool {
		switch {
		case living.unseen || living.pods[target.Pod] > 0 && target.Cookie == 0:
			return false
		case target.Cookie == 0: // before Linux 5.14: only the API server can tell
			known := p.source == nil || !p.source.Synced()
			if !known {
				_, known = p.source.Pod(target.Pod)
			}
			return !known
		}
		return !living.cookies[target.Cookie]
	}
	maps.DeleteFunc(p.looks, func(target plan.Target, _ *look) bool { return gone(target) })
	if dead := slices.DeleteFunc(t.Targets(), func(target plan.Target) bool { return !gone(target) }); len(dead) > 0 {
		t.Forget(dead)
	}
}

// listening are the ports that services have in the calling thread's network.
func (p *Pods) listening() ([]tunable.Ports, error) { return tuning.Listeners(p.o.Sysctls) }

// vanished says that err is that of a namespace which is no more.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, netns.ErrChanged) || errors.Is(err, netns.ErrNotNamespace)
}
