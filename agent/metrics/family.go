package metrics

import "github.com/prometheus/client_golang/prometheus"

// Family is what the reference says of the metrics of one name.
type Family struct {
	Name, Help string
	// Type is gauge, counter or summary.
	Type   string
	Labels []string
	// Absent says when there is no such series.
	Absent string
}

// Families are all that there are, in the order of the reference.
func Families() []Family {
	var list []Family
	for _, f := range families {
		list = append(list, f.Family)
	}
	return list
}

// family is a Family that makes metrics.
type family struct {
	Family
	desc *prometheus.Desc
}

// families is filled by the variables below.
var families []*family

func newFamily(kind, name, help, absent string, labels ...string) *family {
	f := &family{
		Family{Name: name, Help: help, Type: kind, Labels: labels, Absent: absent},
		prometheus.NewDesc(name, help, labels, nil),
	}
	families = append(families, f)
	return f
}

func gauge(name, help, absent string, labels ...string) *family {
	return newFamily("gauge", name, help, absent, labels...)
}

func counter(name, help, absent string, labels ...string) *family {
	return newFamily("counter", name, help, absent, labels...)
}

// metric is one series of f with its value.
func (f *family) metric(value float64, labels ...string) prometheus.Metric {
	kind := prometheus.GaugeValue
	if f.Type == "counter" {
		kind = prometheus.CounterValue
	}
	return prometheus.MustNewConstMetric(f.desc, kind, value, labels...)
}

// flag is one series of f that is 1 for yes and 0 for no.
func (f *family) flag(yes bool, labels ...string) prometheus.Metric {
	if yes {
		return f.metric(1, labels...)
	}
	return f.metric(0, labels...)
}
