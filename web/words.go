package web

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
	"unicode"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// functions are those of the templates.
func (p *Pages) functions() template.FuncMap {
	return template.FuncMap{
		"asset": p.assetURL, "cluster": p.cluster, "clean": clean, "took": took, "utc": utc, "iso": iso, "outcome": outcomeWord,
	}
}

func (p *Pages) cluster() string {
	if p.Title == nil {
		return ""
	}
	return clean(p.Title())
}

// clean returns a text of others without what could change how the text around it is shown. These are control characters and
// marks of the direction of writing. Line breaks and tabs stay.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// took returns a duration as people read it, such as 640ms, 2.3s or 1m5s.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// utc returns a time as people read it.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// iso returns a time as the attribute datetime has it.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// percent returns a share. It is 100 % only if no run failed, and 0 % only if none succeeded.
func percent(u view.Uptime) string {
	share, known := u.Share()
	switch {
	case !known:
		return "–"
	case u.Succeeded == u.Known:
		return "100 %"
	case u.Succeeded > 0 && share < 0.0001:
		return "0.01 %"
	}
	return fmt.Sprintf("%.2f %%", math.Floor(share*10000)/100)
}

// uptime is a share of runs as a page shows it.
type uptime struct {
	// Label says of which time, and Exact how many runs it is from.
	Label, Percent, Exact string
}

func uptimesOf(c *view.Check) []uptime {
	all := []uptime{}
	for _, one := range []struct {
		label string
		of    view.Uptime
	}{{"24 h", c.Day}, {"7 d", c.Week}, {"30 d", c.Month}} {
		all = append(all, uptime{one.label, percent(one.of), fmt.Sprintf("%d of %d runs succeeded", one.of.Succeeded, one.of.Known)})
	}
	return all
}

// outcomeWord is the outcome of a run in one word.
func outcomeWord(outcome check.Outcome) string {
	if outcome == check.Unfinished {
		return "running"
	}
	return string(outcome)
}

func kindQuery(kind khv1.KHWorkload) string {
	if kind == khv1.KHJob {
		return "?kind=job"
	}
	return ""
}

func kindWord(kind khv1.KHWorkload) string {
	if kind == khv1.KHJob {
		return "job"
	}
	return "check"
}

// kindOf is the inverse of kindWord. An empty word is an empty kind. The error is a problem.
func kindOf(word string) (khv1.KHWorkload, error) {
	switch word {
	case "":
		return "", nil
	case "check":
		return khv1.KHCheck, nil
	case "job":
		return khv1.KHJob, nil
	}
	return "", wrong("kind", word, "check or job")
}

func orCheck(kind khv1.KHWorkload) khv1.KHWorkload {
	if kind == "" {
		return khv1.KHCheck
	}
	return kind
}
