package prometheus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

const repositoryRoot = "../.."

func TestGrafanaCanShowTheDashboards(t *testing.T) {
	dashboards, err := ReadDashboards(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]bool{}
	for _, b := range dashboards {
		uids[b.UID] = true
		if problems := b.findProblems(); len(problems) > 0 {
			t.Errorf("%s: %s", b.UID, strings.Join(problems, "\n"))
		}
	}
	if want := []string{"portreeve-cluster", "portreeve-node"}; !slices.Equal(slices.Sorted(maps.Keys(uids)), want) {
		t.Errorf("the dashboards are %v, want %v: links refer to them", uids, want)
	}
}

// findProblems returns errors that Grafana would display or hide.
func (b Dashboard) findProblems() (list []string) {
	ids := map[int]bool{}
	for i, p := range b.Panels {
		report := func(format string, args ...any) { list = append(list, p.Title+": "+fmt.Sprintf(format, args...)) }
		if ids[p.ID] || p.ID == 0 {
			report("the ID %d is 0 or not unique", p.ID)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.X < 0 || g.X+g.W > 24 || g.W < 1 || g.H < 1 {
			report("outside the grid: %+v", g)
		}
		for _, other := range b.Panels[:i] {
			if p.GridPos.overlaps(other.GridPos) {
				report("overlaps %s", other.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 || p.Description == "" {
			report("has the data source %q, %d queries and the description %q", p.Datasource.UID, len(p.Targets), p.Description)
		}
	}
	return list
}

func (p GridPosition) overlaps(q GridPosition) bool {
	return p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H
}
