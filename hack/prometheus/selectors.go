package prometheus

import "regexp"

// Selector is where an expression names a metric of Portreeve's programs.
type Selector struct {
	Metric string
	Labels []string // that it matches
}

var (
	selector = regexp.MustCompile(`\b((?:portreeve|process)_[a-z0-9_]+)(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+) *(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right) *\(([^)]*)\)`)
	word     = regexp.MustCompile(`[a-z_]+`)
)

// Selectors finds them in PromQL, and in templates that have PromQL in them. It is no
// parser: the names are enough to find it, and promtool and Prometheus parse the rest.
func Selectors(expr string) []Selector {
	var list []Selector
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		s := Selector{Metric: m[1]}
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			s.Labels = append(s.Labels, l[1])
		}
		list = append(list, s)
	}
	return list
}

// Groupings are the labels that an expression aggregates or joins by.
func Groupings(expr string) []string {
	var labels []string
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, word.FindAllString(m[1], -1)...)
	}
	return labels
}
