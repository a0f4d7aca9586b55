package prometheus

import "regexp"

// Selector is a reference to a metric of Portreeve's programs in an expression.
type Selector struct {
	Metric string
	Labels []string // with matchers
}

var (
	selectorPattern = regexp.MustCompile(`\b((?:portreeve|process)_[a-z0-9_]+)(\{[^}]*\})?`)
	matcherPattern  = regexp.MustCompile(`([a-z_]+) *(?:=~|!~|!=|=)`)
	groupingPattern = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right) *\(([^)]*)\)`)
	labelPattern    = regexp.MustCompile(`[a-z_]+`)
)

// FindSelectors returns the selectors in PromQL, or in templates that contain PromQL. It
// only matches names; promtool and Prometheus check the syntax.
func FindSelectors(expr string) []Selector {
	var list []Selector
	for _, m := range selectorPattern.FindAllStringSubmatch(expr, -1) {
		s := Selector{Metric: m[1]}
		for _, l := range matcherPattern.FindAllStringSubmatch(m[2], -1) {
			s.Labels = append(s.Labels, l[1])
		}
		list = append(list, s)
	}
	return list
}

// FindGroupingLabels returns the labels by which an expression aggregates or joins.
func FindGroupingLabels(expr string) []string {
	var labels []string
	for _, m := range groupingPattern.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, labelPattern.FindAllString(m[1], -1)...)
	}
	return labels
}
