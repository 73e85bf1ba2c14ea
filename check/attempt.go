package check

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Attempt is one attempt to execute a workload.
type Attempt struct {
	// UUID is the identity of the run and the credential of its report. It never appears in names, logs or pages while the
	// run is open.
	UUID string
	// Attempt counts the pods of the run, from 1.
	Attempt int
	// Deadline is the end of the run.
	Deadline time.Time
	// ReportingURL is where the check posts its report.
	ReportingURL string
	// Avoid are the nodes on which the platform made an earlier attempt fail. The pod prefers other nodes.
	Avoid []string
}

// ShortHash returns a short name of a run that is safe to publish. It identifies the run, but nobody can report with it.
func ShortHash(uuid string) string {
	sum := sha256.Sum256([]byte(uuid))
	return hex.EncodeToString(sum[:5])
}

// PodName returns the name of the run's pod. It depends on the run and the attempt alone, so creating the pod twice creates
// one pod.
func (r Attempt) PodName(check string) string {
	suffix := "-" + ShortHash(r.UUID)
	if r.Attempt > 1 {
		suffix += fmt.Sprintf("-%d", r.Attempt)
	}
	if limit := validation.DNS1123LabelMaxLength - len(suffix); len(check) > limit {
		check = strings.TrimRight(check[:limit], "-.") // a dot before the dash of the suffix is no valid name
	}
	return check + suffix
}
