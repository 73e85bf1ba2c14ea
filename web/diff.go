package web

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// comparison is what changed between the last success before a run and the run.
type comparison struct {
	// Success is the last run that succeeded before. Nil means that the ledger knows none.
	Success *view.Run
	Path    string
	Facts   []changedFact
	// Lines is the difference of the pod specs. Unequal is false where they are the same.
	Lines   []line
	Unequal bool
	// NoSpec says why the pod specs cannot be compared, or is empty.
	NoSpec string
}

// changedFact is a fact of both runs.
type changedFact struct {
	Name, Before, Now string
	Changed           bool
}

// line is a line of a difference: Sign is + for a new line, - for one that is no longer there, and else a blank.
type line struct{ Sign, Text string }

// sinceSuccess compares a run with the last success before it.
func (p *Pages) sinceSuccess(ctx context.Context, ref check.Ref, e view.Evidence, at root) (*comparison, error) {
	page, err := p.View.Runs(ctx, ref, view.RunsQuery{Until: e.Run.Tick, Outcomes: []check.Outcome{check.Succeeded}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Runs) == 0 {
		return &comparison{}, nil
	}
	before := page.Runs[0]
	c := &comparison{Success: &before, Path: at.run(before)}
	for _, one := range []struct{ name, before, now string }{
		{"Node", before.Node, e.Run.Node}, {"Image", before.ImageDigest, e.Run.ImageDigest}, {"Hash of the spec", before.SpecHash, e.Run.SpecHash},
	} {
		if one.before != "" || one.now != "" {
			c.Facts = append(c.Facts, changedFact{one.name, one.before, one.now, one.before != one.now})
		}
	}
	earlier, err := p.View.Evidence(ctx, ref, before.RunID.ID())
	if err != nil {
		return nil, err
	}
	c.compareSpecs(earlier, e)
	return c, nil
}

func (c *comparison) compareSpecs(before, now view.Evidence) {
	if now.Hidden {
		c.NoSpec = "The pod specs are evidence, which is not shown here."
		return
	}
	old, stored := specOf(before)
	if !stored {
		c.NoSpec = "The pod spec of that success was not stored: the ledger stores it of failed attempts alone."
		if before.Run.SpecHash != "" && before.Run.SpecHash == now.Run.SpecHash {
			c.NoSpec += " The hash says that the spec of the check is the same."
		}
		return
	}
	fresh, stored := specOf(now)
	if !stored {
		c.NoSpec = "The pod spec of this run was not stored, or only a part of it."
		return
	}
	if len(old)+len(fresh) > maxDiffLines {
		c.NoSpec = "The pod specs are too long to compare here."
		return
	}
	c.Lines = diff(old, fresh)
	for _, l := range c.Lines {
		c.Unequal = c.Unequal || l.Sign != " "
	}
}

// specOf returns the lines of the pod spec of the first attempt that has one. A spec that was cut is none.
func specOf(e view.Evidence) (lines []string, ok bool) {
	for _, piece := range e.Pieces {
		var pod struct {
			Spec json.RawMessage `json:"spec"`
		}
		if piece.Kind != check.EvidenceSpec || json.Unmarshal([]byte(piece.Content), &pod) != nil || len(pod.Spec) == 0 {
			continue
		}
		var text bytes.Buffer
		if json.Indent(&text, pod.Spec, "", "  ") == nil {
			return strings.Split(text.String(), "\n"), true
		}
	}
	return nil, false
}

// maxDiffLines bounds the lines of two specs, because comparing takes time and memory with the square of them.
const maxDiffLines = 3000

// diff returns the difference of two texts by their longest common subsequence, with all lines that are in both.
func diff(before, now []string) (lines []line) {
	common := make([][]uint16, len(before)+1) // common[i][j] is the length of that of before[i:] and now[j:]
	for i := range common {
		common[i] = make([]uint16, len(now)+1)
	}
	for i := len(before) - 1; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if before[i] == now[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(before) || j < len(now) {
		switch {
		case i < len(before) && j < len(now) && before[i] == now[j]:
			lines = append(lines, line{" ", now[j]})
			i, j = i+1, j+1
		case j == len(now) || i < len(before) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, line{"-", before[i]})
			i++
		default:
			lines = append(lines, line{"+", now[j]})
			j++
		}
	}
	return lines
}
