package rest

import (
	"bytes"
	"fmt"
	"math"
	"text/template"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/view"
)

// badge is a picture of two boxes with a text in each.
type badge struct {
	Label, Value, Color string
}

// The colors of a badge.
const (
	green, yellow, orange, red, blue, grey = "#2e7d32", "#8d6e00", "#b45309", "#c62828", "#1565c0", "#616161"
)

var colors = map[view.State]string{view.Healthy: green, view.Failing: red, view.Unknown: orange, view.Paused: blue}

// GetBadge serves GET /api/v1/checks/{namespace}/{name}/badge. 200, 304, 400: a parameter is wrong. 404: there is none.
func (a *API) GetBadge(c echo.Context, namespace apiclient.NamespaceOfCheck, name apiclient.NameOfCheck, params apiclient.GetBadgeParams) error {
	found, _, err := a.find(params.Kind, namespace, name)
	if err != nil {
		return err
	}
	show := apiclient.BadgeContentState
	if params.Show != nil {
		show = *params.Show
	}
	picture, err := badgeOf(found, show).draw()
	if err != nil {
		return err
	}
	return okText(c, "image/svg+xml", picture)
}

func badgeOf(c *view.Check, show apiclient.BadgeContent) badge {
	label := check.Cut(c.String(), 80)
	switch show {
	case apiclient.BadgeContentUptime24H:
		return uptimeBadge(label+" 24 h", c.Day)
	case apiclient.BadgeContentUptime7D:
		return uptimeBadge(label+" 7 d", c.Week)
	case apiclient.BadgeContentUptime30D:
		return uptimeBadge(label+" 30 d", c.Month)
	}
	return badge{label, string(c.State), colors[c.State]}
}

func uptimeBadge(label string, u view.Uptime) badge {
	share, known := u.Share()
	switch {
	case !known:
		return badge{label, "no runs", grey}
	case share >= 0.999:
		return badge{label, percent(share), green}
	case share >= 0.99:
		return badge{label, percent(share), yellow}
	case share >= 0.95:
		return badge{label, percent(share), orange}
	}
	return badge{label, percent(share), red}
}

// percent rounds down, so that 100 % means all.
func percent(share float64) string { return fmt.Sprintf("%.4g %%", math.Floor(share*10_000)/100) }

// The sizes of a badge, in pixels. A character of the font is seldom wider than charWidth.
const (
	charWidth = 7
	padding   = 10
)

// Width returns the width of a box with a text.
func (badge) Width(text string) int { return utf8.RuneCountInString(text)*charWidth + padding }

var drawing = template.Must(template.New("badge").Parse(`{{$l := .Width .Label}}{{$v := .Width .Value -}}
<svg xmlns="http://www.w3.org/2000/svg" width="{{.Sum $l $v}}" height="20" role="img" aria-label="{{html .Label}}: {{html .Value}}">
<title>{{html .Label}}: {{html .Value}}</title>
<rect width="{{.Sum $l $v}}" height="20" rx="3" fill="#424242"/>
<path d="M{{$l}} 0h{{.Sum $v -3}}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{{.Sum $v -3}}z" fill="{{.Color}}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{{.Half $l}}" y="14">{{html .Label}}</text>
<text x="{{.Sum $l (.Half $v)}}" y="14">{{html .Value}}</text>
</g>
</svg>
`))

// Sum adds two lengths.
func (badge) Sum(a, b int) int { return a + b }

// Half divides a length by two.
func (badge) Half(a int) int { return a / 2 }

func (b badge) draw() ([]byte, error) {
	var picture bytes.Buffer
	if err := drawing.Execute(&picture, b); err != nil {
		return nil, fmt.Errorf("draw badge: %w", err)
	}
	return picture.Bytes(), nil
}
