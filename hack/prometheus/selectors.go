package prometheus

import "regexp"

// Selector is where an expression names a metric of Portreeve's programs.
type Selector struct {
	Metric string
	Labels []string // that it matches
}

var (
	selectorPattern = regexp.MustCompile(`\b((?:portreeve|process)_[a-z0-9_]+)(\{[^}]*\})?`)
	matcherPattern  = regexp.MustCompile(`([a-z_]+) *(?:=~|!~|!=|=)`)
	groupingPattern = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right) *\(([^)]*)\)`)
	labelPattern     = regexp.MustCompile(`[a-z_]+`)
)

// FindSelectors finds them in PromQL, and in templates that have PromQL in them. It is no
// parser: the names are enough to find it, and promtool and Prometheus parse the rest.
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

// FindGroupingLabels are the labels that an expression aggregates or joins by.
func FindGroupingLabels(expr string) []string {
	var labels []string
	for _, m := range groupingPattern.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, labelPattern.FindAllString(m[1], -1)...)
	}
	return labels
}
