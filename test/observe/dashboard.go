package observe

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dashboard is the part of a dashboard of Grafana that this package reads.
type Dashboard struct {
	// Name is that of the file, without its ending.
	Name   string  `json:"-"`
	Title  string  `json:"title"`
	Panels []Panel `json:"panels"`
}

// Panel is a panel or, with the type row, a heading.
type Panel struct {
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Type        string   `json:"type"`
	GridPos     Position `json:"gridPos"`
	Targets     []Target `json:"targets"`
	FieldConfig struct {
		Defaults Defaults `json:"defaults"`
	} `json:"fieldConfig"`
}

// Position is where a panel is, on a page of 24 columns.
type Position struct{ X, Y, W, H int }

// Defaults say how values are shown.
type Defaults struct {
	Unit     string `json:"unit"`
	Mappings []struct {
		Options map[string]struct{ Text, Color string } `json:"options"`
	} `json:"mappings"`
	Thresholds struct {
		Steps []struct {
			Value *float64
			Color string
		} `json:"steps"`
	} `json:"thresholds"`
}

// Target is a query of a panel.
type Target struct {
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
	Instant      bool   `json:"instant"`
}

// Dashboards reads the dashboards of a folder.
func Dashboards(folder string) ([]Dashboard, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var all []Dashboard
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		d := Dashboard{Name: strings.TrimSuffix(filepath.Base(file), ".json")}
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("read dashboard %s: %w", file, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// Variables are the values of the variables of a dashboard. The names have no dollar.
type Variables map[string]string

// Fill puts values into a query, as Grafana does.
func (v Variables) Fill(expr string) string {
	var names []string
	for name := range v {
		names = append(names, name)
	}
	// The longest name first, because $check is also the beginning of $checks.
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		expr = strings.ReplaceAll(expr, "$"+name, v[name])
	}
	return expr
}
