package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/test/golden"
)

const configurationDoc = "../../docs/configuration.md"

// keyOfFlag names the key of the configuration file that sets the same as a flag.
var keyOfFlag = map[string]string{
	"listen": "listenAddress", "log-level": "logLevel", "reporting-url": "externalCheckReportingURL",
	"max-completed-pods": "maxCompletedPodCount", "max-error-pods": "maxErrorPodCount",
	"max-check-pod-age": "maxCheckPodAge", "max-job-age": "maxKHJobAge",
}

// meaningOfKey says what no code says of the keys of the configuration file, in the order of the document. The value is empty
// where it follows from the type of the key.
var meaningOfKey = []struct{ name, value, meaning string }{
	{"listenAddress", "`HOST:PORT` or `:PORT`", "address of the report API"},
	{"logLevel", "`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `panic`", "least level of log lines. `fatal` and `panic` still log errors"},
	{"externalCheckReportingURL", "URL", "URL to which checker pods report"},
	{"maxCompletedPodCount", "", "finished pods of a check that stay after a success"},
	{"maxErrorPodCount", "", "finished pods of a check that stay after a failure"},
	{"maxCheckPodAge", "", "age at which finished pods are deleted"},
	{"maxKHJobAge", "", "age at which completed KHJobs are deleted"},
	{"stateMetadata", "", "names and values for `Metadata` of the status page"},
	{"promMetricsConfig.suppressErrorLabel", "", "leaves the label `error` empty"},
	{"promMetricsConfig.errorLabelMaxLength", "", "most bytes of the label `error`; 0 means no limit"},
	{"enableInflux", "", "exports outcomes to InfluxDB"},
	{"influxURL", "URL", "address of InfluxDB, required with `enableInflux`"},
	{"influxDB", "", "database of InfluxDB, required with `enableInflux`"},
	{"influxUsername", "", "user of InfluxDB"},
	{"influxPassword", "", "password or API token of InfluxDB"},
	{"enableForceMaster", "any", ""},
	{"namespace", "any", ""},
	{"kubeConfigFile", "any", ""},
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

// short returns a duration without its parts that are 0.
func short(d time.Duration) string {
	if found := wholeUnits.FindStringSubmatch(d.String()); found != nil {
		return found[1]
	}
	return d.String()
}

func documented(command string, f *pflag.Flag) documentedFlag {
	d := documentedFlag{name: "`--" + f.Name + "`", fallback: f.DefValue, meaning: f.Usage, commands: []string{command}}
	if f.Shorthand != "" {
		d.name = "`-" + f.Shorthand + "`, " + d.name
	}
	if found := environmentOfUsage.FindStringSubmatch(f.Usage); found != nil {
		d.environment, d.meaning = "`"+found[1]+"`", strings.TrimSuffix(f.Usage, found[0])
	}
	if duration, err := time.ParseDuration(f.DefValue); err == nil && f.Value.Type() == "duration" {
		d.fallback = short(duration)
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

// documentedFlags returns the flags of the commands that operate Khronicle, by name. docs/cli.md is about the others.
func documentedFlags() []documentedFlag {
	var all []documentedFlag
	for _, command := range operationCommands() {
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

// keysOfFile returns the keys of the configuration file by name.
func keysOfFile() map[string]settings.Key {
	c := defaultConfig()
	c.addReportFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
	c.namespace = "$POD_NAMESPACE"
	keys := map[string]settings.Key{}
	for _, k := range settings.Keys(c.defaultSettings()) {
		keys[k.Name] = k
	}
	return keys
}

// describe returns the cells for the values and the default of a key.
func describe(k settings.Key) (value, fallback string) {
	switch v := k.Default.(type) {
	case string:
		value, fallback = "text", v
	case bool:
		value, fallback = "`true` or `false`", fmt.Sprint(v)
	case int:
		value, fallback = "number", fmt.Sprint(v)
	case time.Duration:
		value, fallback = "duration", short(v)
	case slog.Level:
		fallback = strings.ToLower(v.String())
	case map[string]string:
		value = "map of texts"
	}
	if k.Least > 0 {
		value += ", at least `" + short(k.Least) + "`"
	}
	switch {
	case k.WithoutEffect != "":
		return value, ""
	case fallback == "":
		return value, "none"
	}
	return value, "`" + fallback + "`"
}

func keyTable(t *testing.T) string {
	t.Helper()
	keys := keysOfFile()
	var b strings.Builder
	row(&b, "key", "value", "default", "meaning")
	row(&b, "---", "---", "---", "---")
	for _, m := range meaningOfKey {
		k, known := keys[m.name]
		if !known {
			t.Errorf("the configuration file has no key %s", m.name)
		}
		delete(keys, m.name)
		value, fallback := describe(k)
		meaning := m.meaning
		if k.Restart {
			meaning += "; read at the start"
		}
		if k.WithoutEffect != "" {
			meaning = "has no effect: " + k.WithoutEffect
		}
		row(&b, "`"+m.name+"`", cmp.Or(m.value, value), fallback, meaning)
	}
	for name := range keys {
		t.Errorf("meaningOfKey lacks the key %s", name)
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
	want = withTable(t, want, "keys", keyTable(t))
	if *golden.Update {
		if err := os.WriteFile(configurationDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(want, string(content)); diff != "" {
		t.Errorf("docs/configuration.md is out of date; run go test ./cmd/khronicle -run %s -update (-want +got):\n%s", t.Name(), diff)
	}
}

func TestEachVariableOfTheConfigurationDocSetsItsFlag(t *testing.T) {
	const value = "7m" // a name, a URL and a duration
	for _, d := range documentedFlags() {
		if d.environment == "" {
			continue
		}
		t.Run(d.environment, func(t *testing.T) {
			isolate(t)
			t.Setenv(strings.Trim(d.environment, "`"), value)
			for _, name := range d.commands {
				if got := command(t, name).Flags().Lookup(d.long()).Value.String(); !strings.Contains(got, value) {
					t.Errorf("khronicle %s: --%s is %q, want %s", name, d.long(), got, value)
				}
			}
		})
	}
}

// The sample has every key of the file.
func TestConfigurationDocHasTheKeysOfTheSample(t *testing.T) {
	sample, err := os.ReadFile("../../internal/config/testdata/kuberhealthy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for name := range keysOfFile() {
		top, _, _ := strings.Cut(name, ".")
		keys[top] = true
	}
	var want []string
	for _, found := range regexp.MustCompile(`(?m)^(\w+):`).FindAllStringSubmatch(string(sample), -1) {
		want = append(want, found[1])
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, slices.Sorted(maps.Keys(keys))); diff != "" {
		t.Errorf("keys (-sample +document):\n%s", diff)
	}
}

func TestKeysOfFlagsAreKeysOfTheFile(t *testing.T) {
	keys := keysOfFile()
	for flagName, key := range keyOfFlag {
		if flags := command(t, "dev").Flags(); flags.Lookup(flagName) == nil {
			t.Errorf("the key %s belongs to --%s, which is no flag", key, flagName)
		}
		if _, known := keys[key]; !known {
			t.Errorf("--%s sets the same as the key %s, which the file does not have", flagName, key)
		}
	}
}
