package browser_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/browser"
)

// target is what the tests in the browser read.
type target struct {
	Base string `json:"base"`
	// Pages are the paths of pages by their names.
	Pages map[string]string `json:"pages"`
}

// allOutcomes are those that a record of a tick may have, the newest first.
var allOutcomes = []check.Outcome{
	check.Failed, check.TimedOut, check.InfraFailed, check.Succeeded, check.Canceled, check.Skipped, check.Missed, check.Paused, check.Unfinished,
}

// everything is a cluster with all states and outcomes, and texts that are hostile or long.
func everything() *cluster {
	c := &cluster{now: time.Now()}
	all := func(run int) check.Outcome { return allOutcomes[run%len(allOutcomes)] }
	fine := func(int) check.Outcome { return check.Succeeded }
	c.add("shop", "pay", 60, all).Labels = map[string]string{"team": "billing"}
	c.add("shop", strings.Repeat("long-", 49)+"name", 60, all)
	c.add("shop", "cart", 60, fine)
	asleep := c.add("shop", "asleep", 20, fine)
	asleep.Spec.Suspend = true
	c.add("shop", "lost", 0, fine)
	for i := range 60 {
		c.add("bank", fmt.Sprintf("check-%02d", i), 45, fine)
	}
	c.jobs = append(c.jobs, &khv1.KuberhealthyJob{
		ObjectMeta: c.meta("shop", "once"),
		Spec:       khv1.JobConfig{Timeout: "30s", PodSpec: corev1.PodSpec{Containers: []corev1.Container{{Name: "job", Image: "example/job:1"}}}},
	})
	return c
}

// withEvidence stores evidence of a run.
func withEvidence(t testing.TB, r ledger.Record) func(*ledger.Ledger) {
	return func(l *ledger.Ledger) {
		for _, piece := range []ledger.Evidence{
			{Kind: check.EvidenceLog, Name: "1/main", Content: hostile + "\n" + strings.Repeat("x", 100_000) + "\n" + hostile},
			{Kind: check.EvidenceSpec, Name: "1", Content: `{"spec":{"containers":[{"image":"` + strings.Repeat("a", 300) + `"}]}}`},
			{Kind: check.EvidenceEvents, Name: "1", Content: hostile},
			{Kind: check.EvidenceStatus, Name: "1", Content: `{"status":{"containerStatuses":[{"name":"main","state":{"terminated":{"exitCode":3,"reason":"Error","message":"<script>hostile()</script>"}}}]}}`},
		} {
			if err := l.PutEvidence(t.Context(), r.Key, piece); err != nil {
				t.Error(err)
			}
		}
	}
}

// Pages with all states and outcomes are sound in a browser. Nothing hostile runs, and nothing is wider than a small screen.
// All can be read with assistive technology, without scripts and on paper.
func TestPagesAreSoundInABrowser(t *testing.T) {
	browser.Need(t)
	c := everything()
	failed := c.records[0]
	pages := map[string]string{
		"overview": "/", "last": "/?page=2", "failing": "/?state=failing", "none": "/?text=nothing-has-this", "status": "/status",
		"check": "/checks/shop/pay", "long": "/checks/shop/" + strings.Repeat("long-", 49) + "name", "paused": "/checks/shop/asleep",
		"unknown": "/checks/shop/lost", "job": "/checks/shop/once?kind=job", "run": "/checks/shop/pay/runs/" + failed.WorkflowID,
	}
	for run := 1; run < len(allOutcomes); run++ {
		r := c.records[run]
		id := r.WorkflowID
		if withoutRun(r.Outcome) || r.Outcome == check.Unfinished {
			id = "schedule-" + strconv.FormatInt(r.Tick.UnixMicro(), 10)
		}
		pages["run "+string(r.Outcome)] = "/checks/shop/pay/runs/" + id
	}
	base := c.serve(t, withEvidence(t, failed))
	t.Log(browser.Run(t, "sound.test.mjs", target{Base: base, Pages: pages}))
}
