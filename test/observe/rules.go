package observe

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Rules are the groups of a file of alert rules.
type Rules struct {
	Groups []Group `json:"groups"`
}

// Group is a group of alert rules.
type Group struct {
	Name  string `json:"name"`
	Rules []Rule `json:"rules"`
}

// Rule is an alert rule.
type Rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// ParseRules reads a file of alert rules.
func ParseRules(text []byte) (Rules, error) {
	var r Rules
	if err := yaml.UnmarshalStrict(text, &r); err != nil {
		return Rules{}, fmt.Errorf("read alert rules: %w", err)
	}
	return r, nil
}

// Alerts are the names of the alerts.
func (r Rules) Alerts() []string {
	var names []string
	for _, group := range r.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
		}
	}
	return names
}

// Faster returns the rules with every duration divided: those of ranges, offsets and "for". So a test sees in seconds what
// takes an hour. Numbers of seconds, such as "> 120", stay.
func (r Rules) Faster(divisor func(alert string) int) (Rules, error) {
	faster := Rules{}
	for _, group := range r.Groups {
		of := Group{Name: group.Name}
		for _, rule := range group.Rules {
			var err error
			by := divisor(rule.Alert)
			if rule.Expr, err = divide(rule.Expr, by); err != nil {
				return Rules{}, fmt.Errorf("alert %s: %w", rule.Alert, err)
			}
			if rule.For, err = divide(rule.For, by); err != nil {
				return Rules{}, fmt.Errorf("alert %s: %w", rule.Alert, err)
			}
			of.Rules = append(of.Rules, rule)
		}
		faster.Groups = append(faster.Groups, of)
	}
	return faster, nil
}

// quoted are texts of a query, and written its durations.
var (
	quoted  = regexp.MustCompile(`"[^"]*"`)
	written = regexp.MustCompile(`\b\d+[smhd]\b`)
)

// divide divides each duration of a query. A duration that would have a fraction of a second is an error.
func divide(text string, by int) (string, error) {
	var failed error
	shorter := func(part string) string {
		return written.ReplaceAllStringFunc(part, func(d string) string {
			was, err := time.ParseDuration(d)
			if err != nil || was%(time.Duration(by)*time.Second) != 0 {
				failed = fmt.Errorf("%s divided by %d is no whole number of seconds", d, by)
			}
			return strconv.Itoa(int(was.Seconds())/by) + "s"
		})
	}
	var divided strings.Builder
	end := 0
	for _, at := range quoted.FindAllStringIndex(text, -1) { // a text may look like a duration
		divided.WriteString(shorter(text[end:at[0]]) + text[at[0]:at[1]])
		end = at[1]
	}
	divided.WriteString(shorter(text[end:]))
	return divided.String(), failed
}

// YAML is the file for Prometheus.
func (r Rules) YAML() ([]byte, error) { return yaml.Marshal(r) }
