package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	settings "github.com/khronicle/khronicle/internal/config"
)

// update writes the tables of the document anew.
var update = flag.Bool("update", false, "write the tables of docs/configuration.md anew")

const configurationDoc = "../../docs/configuration.md"

// keyOfFlag names the key of the configuration file that sets the same as a flag.
var keyOfFlag = map[string]string{
	"listen": "listenAddress", "log-level": "logLevel", "reporting-url": "externalCheckReportingURL",
	"max-completed-pods": "maxCompletedPodCount", "max-error-pods": "maxErrorPodCount",
	"max-check-pod-age": "maxCheckPodAge", "max-job-age": "maxKHJobAge",
}

// keysOfFile are the keys of the configuration file in the order of the document.
var keysOfFile = []struct{ name, value, fallback, meaning string }{
	{"listenAddress", "`HOST:PORT` or `:PORT`", "`:8080`", "address of the report API; read at the start"},
	{"logLevel", "`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `panic`", "`info`", "least level of log lines. `fatal` and `panic` still log errors"},
	{"externalCheckReportingURL", "URL", "`http://kuberhealthy.$POD_NAMESPACE.svc.cluster.local/externalCheckStatus`", "URL to which checker pods report"},
	{"maxCompletedPodCount", "number", "4", "finished pods of a check that stay after a success"},
	{"maxErrorPodCount", "number", "4", "finished pods of a check that stay after a failure"},
	{"maxCheckPodAge", "duration, at least `30s`", "`72h`", "age at which finished pods are deleted"},
	{"maxKHJobAge", "duration, at least `5m`", "`15m`", "age at which completed KHJobs are deleted"},
	{"stateMetadata", "map of texts", "none", "names and values for `Metadata` of the status page"},
	{"promMetricsConfig.suppressErrorLabel", "`true` or `false`", "`false`", "leaves the label `error` empty"},
	{"promMetricsConfig.errorLabelMaxLength", "number of bytes", "0: no limit", "cuts the label `error`"},
	{"enableInflux", "`true` or `false`", "`false`", "exports outcomes to InfluxDB; read at the start"},
	{"influxURL", "URL", "none", "address of InfluxDB, required with `enableInflux`; read at the start"},
	{"influxDB", "text", "none", "database of InfluxDB, required with `enableInflux`; read at the start"},
	{"influxUsername", "text", "none", "user of InfluxDB; read at the start"},
	{"influxPassword", "text", "none", "password or API token of InfluxDB; read at the start"},
	{"enableForceMaster", "any", "", "has no effect: there is no master"},
	{"namespace", "any", "", "has no effect: see `TARGET_NAMESPACE`"},
	{"kubeConfigFile", "any", "", "has no effect: see `KUBECONFIG`"},
}

// documentedFlag is a row of the table. Commands whose flags have one meaning and default share a row.
type documentedFlag struct {
	name, fallback, environment, meaning string
	commands                             []string
}

// environmentOfUsage finds the variable that the text of a flag names at its end.
var environmentOfUsage = regexp.MustCompile(` \[([A-Z_]+)\]$`)

// wholeUnits matches the parts of a duration that are 0, such as the last two of 72h0m0s.
var wholeUnits = regexp.MustCompile(`^(\d+h|\d+m)(0m)?0s$`)

func documented(command string, f *pflag.Flag) documentedFlag {
	d := documentedFlag{name: "`--" + f.Name + "`", fallback: f.DefValue, meaning: f.Usage, commands: []string{command}}
	if f.Shorthand != "" {
		d.name = "`-" + f.Shorthand + "`, " + d.name
	}
	if found := environmentOfUsage.FindStringSubmatch(f.Usage); found != nil {
		d.environment, d.meaning = "`"+found[1]+"`", strings.TrimSuffix(f.Usage, found[0])
	}
	if found := wholeUnits.FindStringSubmatch(f.DefValue); found != nil && f.Value.Type() == "duration" {
		d.fallback = found[1]
	}
	switch {
	case f.Name == "pod-name":
		d.fallback = "the host name"
	case d.fallback == "" || d.fallback == "[]":
		d.fallback = ""
	default:
		d.fallback = "`" + d.fallback + "`"
	}
	return d
}

// documentedFlags returns the flags of all commands by name.
func documentedFlags() []documentedFlag {
	var all []documentedFlag
	for _, command := range rootCommand().Commands() {
		command.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			d := documented(command.Name(), f)
			same := func(other documentedFlag) bool {
				return other.name == d.name && other.meaning == d.meaning && other.fallback == d.fallback
			}
			if i := slices.IndexFunc(all, same); i >= 0 {
				all[i].commands = append(all[i].commands, command.Name())
				return
			}
			all = append(all, d)
		})
	}
	slices.SortStableFunc(all, func(a, b documentedFlag) int { return strings.Compare(a.long(), b.long()) })
	return all
}

// long returns the name of the flag without dashes and the letter for it.
func (d documentedFlag) long() string {
	_, name, _ := strings.Cut(strings.Trim(d.name, "`"), "--")
	return name
}

// row writes a row of a table. A bar in a cell is escaped.
func row(b *strings.Builder, cells ...string) {
	for _, cell := range cells {
		if cell = strings.ReplaceAll(cell, "|", `\|`); cell != "" {
			cell += " "
		}
		b.WriteString("| " + cell)
	}
	b.WriteString("|\n")
}

func flagTable() string {
	var b strings.Builder
	row(&b, "flag", "commands", "environment", "key of the file", "default", "meaning")
	row(&b, "---", "---", "---", "---", "---", "---")
	for _, d := range documentedFlags() {
		key := keyOfFlag[d.long()]
		if key != "" {
			key = "`" + key + "`"
		}
		slices.Sort(d.commands)
		row(&b, d.name, strings.Join(d.commands, ", "), d.environment, key, d.fallback, d.meaning)
	}
	return b.String()
}

func keyTable() string {
	var b strings.Builder
	row(&b, "key", "value", "default", "meaning")
	row(&b, "---", "---", "---", "---")
	for _, k := range keysOfFile {
		row(&b, "`"+k.name+"`", k.value, k.fallback, k.meaning)
	}
	return b.String()
}

// withTable returns the document with a table between its two comments.
func withTable(t *testing.T, document, name, table string) string {
	t.Helper()
	begin, end := "<!-- begin: "+name+" -->\n", "<!-- end: "+name+" -->"
	before, rest, found := strings.Cut(document, begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatalf("%s: no lines %q and %q", configurationDoc, strings.TrimSpace(begin), end)
	}
	return before + begin + table + end + after
}

func TestConfigurationDocHasAllFlagsAndKeys(t *testing.T) {
	isolate(t)
	content, err := os.ReadFile(configurationDoc)
	if err != nil {
		t.Fatal(err)
	}
	want := withTable(t, string(content), "flags", flagTable())
	want = withTable(t, want, "keys", keyTable())
	if *update {
		if err := os.WriteFile(configurationDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Errorf("docs/configuration.md is out of date; run go test ./cmd/khronicle -run %s -update (-want +got):\n%s", t.Name(), diff)
	}
}

// The sample has every key of the file.
func TestConfigurationDocHasTheKeysOfTheSample(t *testing.T) {
	sample, err := os.ReadFile("../../internal/config/testdata/kuberhealthy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for _, k := range keysOfFile {
		top, _, _ := strings.Cut(k.name, ".")
		keys[top] = true
	}
	var want []string
	for _, found := range regexp.MustCompile(`(?m)^(\w+):`).FindAllStringSubmatch(string(sample), -1) {
		want = append(want, found[1])
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(keys))); diff != "" {
		t.Errorf("keys (-sample +document):\n%s", diff)
	}
}

func TestConfigurationDocNamesKeysThatTheFileMayHave(t *testing.T) {
	for _, k := range keysOfFile {
		content := k.name + ":\n"
		if top, leaf, nested := strings.Cut(k.name, "."); nested {
			content = fmt.Sprintf("%s:\n  %s:\n", top, leaf)
		}
		_, warnings, err := settings.Parse("x.yaml", []byte(content), settings.Defaults())
		if err != nil || strings.Contains(fmt.Sprint(warnings), "unknown") {
			t.Errorf("%s: warnings %q, error %v", k.name, warnings, err)
		}
	}
	for flagName, key := range keyOfFlag {
		if flags := command(t, "dev").Flags(); flags.Lookup(flagName) == nil {
			t.Errorf("the key %s belongs to --%s, which is no flag", key, flagName)
		}
	}
}
