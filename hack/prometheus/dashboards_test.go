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
	boards, err := ReadDashboards(repositoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]bool{}
	for _, b := range boards {
		uids[b.UID] = true
		if problems := b.findProblems(); len(problems) > 0 {
			t.Errorf("%s: %s", b.UID, strings.Join(problems, "\n"))
		}
	}
	if want := []string{"portreeve-cluster", "portreeve-node"}; !slices.Equal(slices.Sorted(maps.Keys(uids)), want) {
		t.Errorf("the dashboards are %v, want %v: links hold on to these", uids, want)
	}
}

// findProblems are what Grafana would show wrong, or not at all.
func (b Dashboard) findProblems() (list []string) {
	ids := map[int]bool{}
	for i, p := range b.Panels {
		bad := func(format string, args ...any) { list = append(list, p.Title+": "+fmt.Sprintf(format, args...)) }
		if ids[p.ID] || p.ID == 0 {
			bad("the ID %d is not its own", p.ID)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.X < 0 || g.X+g.W > 24 || g.W < 1 || g.H < 1 {
			bad("it is outside the grid: %+v", g)
		}
		for _, other := range b.Panels[:i] {
			if p.GridPos.overlaps(other.GridPos) {
				bad("it lies over %s", other.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 || p.Description == "" {
			bad("it has the datasource %q, %d queries, and says of itself %q", p.Datasource.UID, len(p.Targets), p.Description)
		}
	}
	return list
}

func (p GridPosition) overlaps(q GridPosition) bool {
	return p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H
}
