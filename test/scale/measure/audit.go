package measure

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// agent is how the requests of the roles begin to name their program.
const agent = "khronicle/"

// Requests counts the roles' requests in a window of the API server's audit log, by verb and resource. A watch lives
// long: it is counted when it begins. Requests for the readiness of the API server are left out.
func Requests(log io.Reader, from, until time.Time) (map[string]int, error) {
	counts := map[string]int{}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(`"userAgent":"`+agent)) { // most are not: spare the parsing
			continue
		}
		var event struct {
			Verb, RequestURI, Stage  string
			RequestReceivedTimestamp time.Time
			ObjectRef                struct{ Resource, Subresource string }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // the API server writes on: the last line may be half of one
		}
		at := event.RequestReceivedTimestamp
		if event.Stage == "ResponseStarted" || at.Before(from) || !at.Before(until) || strings.HasPrefix(event.RequestURI, "/readyz") {
			continue
		}
		counts[strings.TrimSpace(event.Verb+" "+event.ObjectRef.Resource)]++
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return counts, nil
}
