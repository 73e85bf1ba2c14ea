package verb

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/duration"
	wholenumbers "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/internal/cli"
	"github.com/khronicle/khronicle/internal/doctor"
)

const outputs = "table, wide, json, yaml, name, junit or jsonpath=TEMPLATE"

// output is the format of a list.
type output struct{ format string }

func (o *output) addFlag(f *pflag.FlagSet) {
	f.StringVarP(&o.format, "output", "o", "table", outputs)
}

func (o *output) validate() error {
	switch o.format {
	case "table", "wide", "json", "yaml", "name", "junit":
		return nil
	}
	template, ok := strings.CutPrefix(o.format, "jsonpath=")
	if !ok {
		return usagef("--output: %q is not %s", o.format, outputs)
	}
	if err := jsonpath.New("output").Parse(template); err != nil {
		return usagef("--output: %w", err)
	}
	return nil
}

// list is what a command has to show, in all formats.
type list struct {
	// value is what JSON, YAML and JSONPath show. It is an object.
	value any
	names []string
	// header and rows are the table. The first narrow columns are shown, or all with the format wide.
	header []string
	narrow int
	rows   [][]string
	// states are those of the rows, for colors. state is their column.
	state int
	// whole says that the cells of the table are not cut.
	whole bool
	cases []testCase
}

// print writes a list in the chosen format.
func (o *output) print(out io.Writer, l list) error {
	template, _ := strings.CutPrefix(o.format, "jsonpath=")
	switch o.format {
	case "table", "wide":
		return l.table(out, o.format == "wide", true)
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(l.value)
	case "yaml":
		text, err := yaml.Marshal(l.value)
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	case "name":
		for _, name := range l.names {
			if _, err := fmt.Fprintln(out, name); err != nil {
				return err
			}
		}
		return nil
	case "junit":
		return writeJUnit(out, l.cases)
	}
	return printPath(out, template, l.value)
}

func printPath(out io.Writer, template string, value any) error {
	path := jsonpath.New("output").AllowMissingKeys(true) // a value that is not known is absent
	if err := path.Parse(template); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	content := map[string]any{}
	if err := wholenumbers.Unmarshal(text, &content); err != nil {
		return err
	}
	if err := path.Execute(out, content); err != nil {
		return usagef("--output: %w", err)
	}
	return nil
}

// table writes the table. Colors are for terminals, unless NO_COLOR is set.
func (l list) table(out io.Writer, wide, header bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	write := func(row []string, color string) {
		if !wide {
			row = row[:l.narrow]
		}
		cells := make([]string, len(row))
		for i, text := range row {
			if cells[i] = firstOf(text); l.whole {
				cells[i] = printable(strings.Join(strings.Fields(text), " "))
			}
			if i == l.state && color != "" {
				cells[i] = "\x1b[" + color + "m" + cells[i] + "\x1b[0m"
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	color := func(string) string { return "" }
	if colored(out) {
		color = colorOf
	}
	if header {
		write(l.header, color(""))
	}
	for _, row := range l.rows {
		write(row, color(row[l.state]))
	}
	return table.Flush()
}

// colorOf returns the color of a state, an outcome or a status of the doctor. Each has two digits, so that the columns stay straight.
func colorOf(state string) string {
	switch state {
	case string(apiclient.StateHealthy), string(apiclient.OutcomeSucceeded), string(doctor.OK):
		return "32"
	case string(apiclient.StateFailing), string(apiclient.OutcomeFailed), string(apiclient.OutcomeTimedOut), string(doctor.Fail):
		return "31"
	case string(apiclient.StateUnknown), string(apiclient.OutcomeInfraFailed), string(apiclient.OutcomeMissed), string(doctor.Warn):
		return "33"
	}
	return "39"
}

func colored(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// testCase is a check or a run as JUnit has it.
type testCase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Seconds float64  `xml:"time,attr"`
	Failure *failure `xml:"failure,omitempty"`
	Error   *failure `xml:"error,omitempty"`
	Skipped *failure `xml:"skipped,omitempty"`
}

type failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(out io.Writer, cases []testCase) error {
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Cases    []testCase `xml:"testcase"`
	}{Name: "khronicle", Tests: len(cases), Cases: cases}
	for _, c := range cases {
		switch {
		case c.Failure != nil:
			suite.Failures++
		case c.Error != nil:
			suite.Errors++
		case c.Skipped != nil:
			suite.Skipped++
		}
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out)
	return err
}

// printable escapes what a terminal would obey or hide.
func printable(text string) string { return cli.Printable([]byte(text)) }

// firstOf returns the first line of a text for a cell or a message.
func firstOf(text string) string {
	const limit = 120
	line, _, _ := strings.Cut(text, "\n")
	line = printable(strings.ReplaceAll(line, "\t", " "))
	if runes := []rune(line); len(runes) > limit {
		line = string(runes[:limit]) + "…"
	}
	return line
}

func ago(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	return duration.HumanDuration(max(now.Sub(*at), 0)) + " ago"
}

func until(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	return "in " + duration.HumanDuration(max(at.Sub(now), 0))
}

func seconds(value *float64) string {
	if value == nil {
		return "-"
	}
	return time.Duration(*value * float64(time.Second)).Round(10 * time.Millisecond).String()
}

func orDash(text *string) string {
	if text == nil || *text == "" {
		return "-"
	}
	return *text
}

func firstError(errs []string) string {
	if len(errs) == 0 {
		return "-"
	}
	if len(errs) > 1 {
		return fmt.Sprintf("%s (+%d)", firstOf(errs[0]), len(errs)-1)
	}
	return errs[0]
}

func share(of *apiclient.Uptimes, pick func(*apiclient.Uptimes) apiclient.Uptime) string {
	if of == nil {
		return "-"
	}
	uptime := pick(of)
	if uptime.Share == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", 100**uptime.Share)
}

func day(u *apiclient.Uptimes) apiclient.Uptime   { return u.Day }
func week(u *apiclient.Uptimes) apiclient.Uptime  { return u.Week }
func month(u *apiclient.Uptimes) apiclient.Uptime { return u.Month }
