package metrics

import "github.com/prometheus/client_golang/prometheus"

// Family describes the metrics of one name, for the reference.
type Family struct {
	Name, Help string
	// Type is gauge, counter or summary.
	Type   string
	Labels []string
	// Absent is the condition under which there is no series.
	Absent string
}

// ListFamilies returns all families, in the order of the reference.
func ListFamilies() []Family {
	var list []Family
	for _, f := range allFamilies {
		list = append(list, f.Family)
	}
	return list
}

// metricFamily is a Family that creates metrics.
type metricFamily struct {
	Family
	desc *prometheus.Desc
}

// allFamilies is filled by newFamily, which initializes the variables in reference.go.
var allFamilies []*metricFamily

func newFamily(kind, name, help, absent string, labels ...string) *metricFamily {
	f := &metricFamily{
		Family{Name: name, Help: help, Type: kind, Labels: labels, Absent: absent},
		prometheus.NewDesc(name, help, labels, nil),
	}
	allFamilies = append(allFamilies, f)
	return f
}

func newGauge(name, help, absent string, labels ...string) *metricFamily {
	return newFamily("gauge", name, help, absent, labels...)
}

func newCounter(name, help, absent string, labels ...string) *metricFamily {
	return newFamily("counter", name, help, absent, labels...)
}

// newMetric returns one series of f.
func (f *metricFamily) newMetric(value float64, labels ...string) prometheus.Metric {
	kind := prometheus.GaugeValue
	if f.Type == "counter" {
		kind = prometheus.CounterValue
	}
	return prometheus.MustNewConstMetric(f.desc, kind, value, labels...)
}

// newFlag returns one series of f with the value 1 for true and 0 for false.
func (f *metricFamily) newFlag(yes bool, labels ...string) prometheus.Metric {
	if yes {
		return f.newMetric(1, labels...)
	}
	return f.newMetric(0, labels...)
}
