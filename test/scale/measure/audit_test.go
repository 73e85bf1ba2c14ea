package measure_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/scale/measure"
)

func TestRequestsOfTheRolesInTheWindow(t *testing.T) {
	line := func(at float64, verb, resource, agent, stage, uri string) string {
		return fmt.Sprintf(`{"stage":%q,"requestURI":%q,"verb":%q,"userAgent":%q,"objectRef":{"resource":%q},"requestReceivedTimestamp":%q}`,
			stage, uri, verb, agent, resource, after(at).Format(time.RFC3339Nano))
	}
	const ours, done = "khronicle/dev (linux/amd64)", "ResponseComplete"
	log := strings.Join([]string{
		line(10, "create", "pods", ours, done, "/api/v1/namespaces/a/pods"),
		line(11, "create", "pods", ours, done, "/api/v1/namespaces/a/pods"),
		line(11, "delete", "pods", ours, done, "/api/v1/namespaces/a/pods/x"),
		line(9, "create", "pods", ours, done, "/before"),
		line(20, "create", "pods", ours, done, "/after"),
		line(12, "create", "pods", "kwok/v0.8.0", done, "/another program"),
		line(12, "patch", "pods", "khronicle-scale", done, "/the player"),
		line(12, "watch", "pods", ours, "ResponseStarted", "/a watch that began"),
		line(12, "get", "", ours, done, "/readyz?timeout=1s"),
		line(13, "create", "pods", ours, done, "/half of a line")[:150],
	}, "\n")
	got, err := measure.Requests(strings.NewReader(log), after(10), after(20))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"create pods": 2, "delete pods": 1}, got); diff != "" {
		t.Errorf("requests -want +got:\n%s", diff)
	}
}
