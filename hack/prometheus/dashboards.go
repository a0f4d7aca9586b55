package prometheus

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dashboard is a Grafana dashboard.
type Dashboard struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []Panel `json:"panels"`
	Templating struct {
		List []Variable `json:"list"`
	} `json:"templating"`
}

// Variable is a template variable of a dashboard.
type Variable struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Definition string `json:"definition"`
}

// Panel is a panel of a dashboard, or a row (Type row).
type Panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos GridPosition `json:"gridPos"`
	Targets []Target     `json:"targets"`
}

// GridPosition is the position and size of a panel in a grid of 24 columns.
type GridPosition struct{ X, Y, W, H int }

// Target is one query of a panel.
type Target struct {
	RefID string `json:"refId"`
	Expr  string `json:"expr"`
}

// ReadDashboards returns the dashboards by file name.
func ReadDashboards(root string) (map[string]Dashboard, error) {
	paths, err := filepath.Glob(filepath.Join(root, ConfigDir, "dashboards", "*.json"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no dashboards in %s", ConfigDir)
	}
	dashboards := map[string]Dashboard{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var b Dashboard
		if err := json.Unmarshal(data, &b); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		dashboards[filepath.Base(path)] = b
	}
	return dashboards, nil
}

// ExpandQueries returns the queries of b by panel and reference ID, with the variables
// node and rate interval replaced as in Grafana.
func (b Dashboard) ExpandQueries(node, window string) map[string]string {
	variables := strings.NewReplacer("$node", node, "$__rate_interval", window)
	queries := map[string]string{}
	for _, p := range b.Panels {
		for _, t := range p.Targets {
			queries[fmt.Sprintf("%s: %s %s", b.UID, p.Title, t.RefID)] = variables.Replace(t.Expr)
		}
	}
	return queries
}
