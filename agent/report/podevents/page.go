package podevents

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// page is what the book has about one pod.
type page struct {
	seen  time.Time
	first bool // no sample before has shown it

	level, told         socket.Level // of its tightest pool: as it is, and as was said last
	failedAt            time.Time
	toldFails, toldLeak bool
	spent               [families]budget
	series              map[string]series // by reason
}

// standing says that something bad was said, and not yet that it is over.
func (p *page) standing() bool { return p.told > socket.Normal || p.toldFails }

// quiet is how long no connect() fails until the next that does is news.
const quiet = 10 * time.Minute

func (p *page) follow(s sight, t socket.Thresholds, now time.Time) {
	p.seen = now
	p.level = t.Next(p.level, s.tightest.UsedPercent())
	if p.level == socket.Normal {
		p.toldLeak = false
	}
	switch {
	case s.failed.count > 0:
		p.failedAt = now
	case now.Sub(p.failedAt) > quiet:
		p.toldFails = false
	}
}

// family is what Events have in common that are bounded together.
type family int

const (
	headroom family = iota
	exhausted
	leak
	families
)

// remark is something to say; said notes that it was.
type remark struct {
	family  family
	reason  string
	warning bool
	better  bool // than what was said last
	note    string
	said    func()
}

// remarks is what was not said yet, the most telling first.
func (p *page) remarks(s sight, why cause.Diagnosis) []remark {
	var list []remark
	if s.failed.count > 0 && !p.toldFails {
		list = append(list, remark{
			family: exhausted, reason: v1alpha1.ReasonPortsExhausted, warning: true,
			note: failedNote(s, p.level, why), said: func() { p.toldFails = true },
		})
	}
	if p.level != p.told {
		list = append(list, remark{
			family: headroom, reason: headroomReason[p.level], warning: p.level > socket.Normal, better: p.level < p.told,
			note: headroomNote(s, p.level, p.told, why), said: func() { p.told = p.level },
		})
	}
	if cause.IsLeak(why.Cause) && !p.toldLeak {
		list = append(list, remark{
			family: leak, reason: v1alpha1.ReasonLeakSuspected, warning: true,
			note: leakNote(why), said: func() { p.toldLeak = true },
		})
	}
	return list
}

var headroomReason = map[socket.Level]string{
	socket.Normal:   v1alpha1.ReasonHeadroomRestored,
	socket.Warning:  v1alpha1.ReasonHeadroomLow,
	socket.Critical: v1alpha1.ReasonHeadroomCritical,
}

// series is an Event that is said again and again.
type series struct {
	name  string
	count int
	at    time.Time
}

// together is how long after it was said last an Event is the same one. Its name has
// the half hour of its beginning in it: an agent that starts again and again finds
// the Event of that name there, and one that comes back after longer has another.
const together = 30 * time.Minute

// event is r as the next of its series.
func (p *page) event(pod Pod, r remark) Event {
	of := p.series[r.reason]
	if of.count == 0 || p.seen.Sub(of.at) >= together {
		of = series{name: eventName(pod, r.reason, p.seen)}
	}
	of.count++
	of.at = p.seen
	if p.series == nil {
		p.series = map[string]series{}
	}
	p.series[r.reason] = of
	return Event{
		Pod: pod, Name: of.name, Reason: r.reason, Warning: r.warning, Note: r.note,
		At: p.seen, Count: of.count, Standing: p.first,
	}
}

// maxName is the API's limit of an object's name.
const maxName = 253

// eventName is a DNS subdomain, as the API wants it.
func eventName(pod Pod, reason string, begin time.Time) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s %d", pod.UID, reason, begin.Unix()/int64(together/time.Second))
	suffix := fmt.Sprintf(".%016x", h.Sum64())
	name := pod.Name[:min(len(pod.Name), maxName-len(suffix))]
	return strings.TrimRight(name, ".-") + suffix
}
