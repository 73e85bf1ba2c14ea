//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/test/browser"
)

// hostileText is what a browser must show as a text.
const hostileText = `<script>hostile()</script>"><img src=x onerror=hostile()>` + "\x1b[31mred\x1b[0m \u202eright to left\u202c </pre><svg onload=hostile()>"

// browserTarget is what the tests in the browser read.
type browserTarget struct {
	Base string `json:"base"`
	// Namespace is where the checks are, of which Rows has the names and states as the overview must show them.
	Namespace string   `json:"namespace"`
	Rows      []string `json:"rows"`
	// Failure makes a check fail with Error.
	Failure    env    `json:"failure"`
	Error      string `json:"error"`
	TemporalUI string `json:"temporalUI"`
	// Cluster are the variables that kubectl needs, and Pictures is the folder of the pictures that the test makes.
	Cluster  env               `json:"cluster"`
	Pictures string            `json:"pictures"`
	Pages    map[string]string `json:"pages"`
}

// TestPagesInABrowser uses the pages of real runs in a real browser: see ../browser.
func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	browser.Need(t)
	const shop, lab = "shop", "lab" // readers see these names in the pictures
	kept := openLedger(t)
	for _, name := range []string{shop, lab} {
		eventually(t, time.Minute, "the namespace "+name+" of an earlier test is gone", func() (bool, string) {
			_, err := under.kube.core.CoreV1().Namespaces().Get(t.Context(), name, getOptions)
			return gone(err), fmt.Sprint(err)
		})
		makeNamespace(t, name)
		awaitPods(t, name)
	}
	const reason = "payment gateway answered 502 after 3 tries"
	failing := env{"REPORT_ERRORS": reason, "LOG_LINES": "3"}
	for name, behaviour := range map[string]env{
		"cart": {"REPORT_DELAY": "300ms"}, "checkout": {"REPORT_DELAY": "700ms"}, "login": {"REPORT_DELAY": "100ms"}, "search": {},
		"stock": {"SKIP_REPORT": "true", "EXIT_CODE": "3", "LOG_LINES": "3"},
	} {
		applyWithPast(t, shopCheck(shop, name, behaviour))
	}
	paused := shopCheck(shop, "newsletter", nil)
	paused.Spec.Suspend = true
	paused.Annotations = map[string]string{protocol.AnnotationPausedBy: "ann", protocol.AnnotationPauseReason: hostileText}
	apply(t, paused)
	applyJob(t, demoJob(shop, "migrate", nil))
	apply(t, hostileCheck(t, lab))

	pages := map[string]string{"overview": "/?namespace=shop", "everything": "/", "status": "/status", "paused": "/checks/shop/newsletter", "job": "/checks/shop/migrate?kind=job"}
	for name, check := range map[string][2]string{"failed": {shop, "stock"}, "good": {shop, "cart"}, "hostile": {lab, "hostile"}} {
		ended := awaitRecords(t, kept, khv1.KHCheck, check[0], check[1], time.Minute, "the run has ended", hasExited)
		path := "/checks/" + check[0] + "/" + check[1]
		pages[name+" check"], pages[name+" run"] = path, path+"/runs/"+ended[0].WorkflowID
	}
	for _, name := range []string{"cart", "checkout", "login", "search", "stock"} {
		awaitRecords(t, kept, khv1.KHCheck, shop, name, time.Minute, "the run has ended", hasExited)
	}
	awaitState(t, shop, "migrate", time.Minute, "the job has ended", func(d khv1.WorkloadDetails) bool { return d.OK })
	pictures := filepath.Join(under.state, "pictures")
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	read := browserTarget{
		Base: reportBase, Namespace: shop, Failure: failing, Error: reason, TemporalUI: temporalUI,
		Cluster:  env{"KUBEBOX": filepath.Join(under.bin, "kubebox"), "KUBEBOX_NAME": "e2e", "KUBECONFIG": ""},
		Pictures: pictures, Pages: pages,
		Rows: []string{
			"shop/stock failing", "shop/cart healthy", "shop/checkout healthy", "shop/login healthy", "shop/migrate healthy", "shop/newsletter paused",
			"shop/search healthy",
		},
	}
	t.Log(browser.Run(t, "use.test.mjs", read))
	t.Log(browser.Run(t, "sound.test.mjs", read))
}

// shopCheck is a demo check that runs each ten minutes.
func shopCheck(namespace, name string, behaviour env) *khv1.KuberhealthyCheck {
	c := demoCheck(namespace, name, behaviour)
	c.Labels, c.Spec.RunInterval = map[string]string{"team": "billing"}, "10m"
	return c
}

// applyWithPast applies a check, and gives it the records of 39 earlier runs, so that pages are filled as they are after a few hours.
func applyWithPast(t *testing.T, c *khv1.KuberhealthyCheck) {
	t.Helper()
	made, err := under.kube.checks(c.Namespace).Create(t.Context(), c, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	written, err := ledger.Open(t.Context(), under.ledgerDSN(), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = written.Close() }()
	var past []ledger.Record
	for i := range 39 {
		tick := time.Now().Add(-time.Duration(i+1) * 10 * time.Minute).Truncate(time.Second)
		reported := tick.Add(time.Duration(900+(i*i*211+len(c.Name)*97)%600) * time.Millisecond)
		r := ledger.Record{
			Key:  ledger.Key{CheckUID: string(made.UID), Trigger: check.TriggerSchedule, Tick: tick},
			Kind: khv1.KHCheck, Namespace: c.Namespace, Name: c.Name, Outcome: check.Succeeded, Attempts: 1, Node: "kubebox", WorkflowID: uuid.NewString(),
			Started: tick.Add(20 * time.Millisecond), PodCreated: tick.Add(60 * time.Millisecond), Running: tick.Add(500 * time.Millisecond),
			Reported: reported, Concluded: reported, Exited: reported, Recorded: reported.Add(50 * time.Millisecond), Deadline: tick.Add(time.Minute),
		}
		switch (i + len(c.Name)) % 17 {
		case 3:
			r.Outcome, r.Errors = check.Failed, []string{"the answer took 2.1 s, want at most 1 s"}
		case 9:
			r.Outcome, r.Errors = check.InfraFailed, []string{"the node was drained"}
		case 12:
			r.Flaky, r.Attempts = true, 2
		}
		past = append(past, r)
	}
	ledgertest.Fill(t, written, past)
}

// hostileCheck reports and logs hostile texts.
func hostileCheck(t *testing.T, namespace string) *khv1.KuberhealthyCheck {
	t.Helper()
	if err := loadLanguages(); err != nil {
		t.Fatal(err)
	}
	report, err := json.Marshal(map[string]any{"OK": false, "Errors": []string{hostileText, strings.Repeat("a long error ", 500)}})
	if err != nil {
		t.Fatal(err)
	}
	const script = `echo "$TEXT"; awk 'BEGIN { while (i++ < 100000) printf "x"; print "" }'; echo "$TEXT"
curl -sS -H "kh-run-uuid: $KH_RUN_UUID" -H 'Content-Type: application/json' -d "$REPORT" "$KH_REPORTING_URL"`
	c := demoCheck(namespace, "hostile", nil)
	c.Spec.PodSpec.Containers = []corev1.Container{{
		Name: "check", Image: "khronicle/check-shell:dev", ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script},
		Env: []corev1.EnvVar{{Name: "TEXT", Value: hostileText}, {Name: "REPORT", Value: string(report)}},
	}}
	return c
}

func hasExited(records []ledger.Record) bool {
	return len(records) > 0 && !records[0].Exited.IsZero() && !records[0].Recorded.IsZero()
}
