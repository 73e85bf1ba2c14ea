package check

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/protocol"
)

// maxRequest is the longest value that asks for a run, in bytes.
const maxRequest = 128

// OpenRequest returns the value for which a check has a run to start or to follow. A request that was taken up comes first:
// further values wait until its run has ended. ok is false if nothing is asked for.
func OpenRequest(c *khv1.KuberhealthyCheck) (value string, ok bool) {
	last, value := c.Status.LastRequest, Cut(c.Annotations[protocol.AnnotationRequestedAt], maxRequest)
	switch {
	case last == nil:
		return value, value != ""
	case last.Phase == khv1.RequestWaiting, last.Phase == khv1.RequestRunning:
		return last.Value, true
	default:
		return value, value != "" && value != last.Value
	}
}

// AsksFurther is true if a check asks for another run than this one, which has ended.
func AsksFurther(c *khv1.KuberhealthyCheck, request *khv1.RunRequest) bool {
	with := &khv1.KuberhealthyCheck{ObjectMeta: metav1.ObjectMeta{Annotations: c.Annotations}, Status: khv1.CheckStatus{LastRequest: request}}
	value, open := OpenRequest(with)
	return open && value != request.Value
}

// TakenUp is true for a value whose run a starter has started, as the status of the check says.
func TakenUp(c *khv1.KuberhealthyCheck, value string) bool {
	last := c.Status.LastRequest
	return last != nil && last.Value == value && last.Phase != khv1.RequestRefused
}

// RefusedRequest returns the refusal of a request of a check, or nil if it may run.
func RefusedRequest(c *khv1.KuberhealthyCheck, value string, scheduling Scheduling, now time.Time) *khv1.RunRequest {
	refused := NewRequest(value, khv1.RequestRefused, now)
	switch {
	case TakenUp(c, value):
		return nil
	case len(c.Annotations[protocol.AnnotationRequestedAt]) > maxRequest:
		refused.Message = fmt.Sprintf("metadata.annotations[%s]: it has %d bytes: a value of at most %d would be right",
			protocol.AnnotationRequestedAt, len(c.Annotations[protocol.AnnotationRequestedAt]), maxRequest)
	case scheduling.Final:
		refused.Message = scheduling.Problem
	default:
		return nil
	}
	return refused
}

// NewRequest returns the progress of a request whose phase begins now.
func NewRequest(value string, phase khv1.RunRequestPhase, now time.Time) *khv1.RunRequest {
	return &khv1.RunRequest{Value: value, Phase: phase, Time: metav1.NewTime(now.UTC().Truncate(time.Second))}
}

// EndedRequest returns the progress of a request whose run has ended. uuid is empty if there was no run.
func EndedRequest(value string, outcome Outcome, uuid string, at time.Time) *khv1.RunRequest {
	ended := NewRequest(value, khv1.RequestEnded, at)
	ended.Outcome, ended.RunUUID = string(outcome), uuid
	return ended
}

// LostRequest returns the progress of a request of whose run Temporal has no record.
func LostRequest(value string, now time.Time) *khv1.RunRequest {
	lost := EndedRequest(value, InfraFailed, "", now)
	lost.Message = Lost().Text
	return lost
}

// requestDiffers is true when a request is another one, or has advanced.
func requestDiffers(shown, wanted *khv1.RunRequest) bool {
	if shown == nil || wanted == nil {
		return (shown == nil) != (wanted == nil)
	}
	return shown.Value != wanted.Value || shown.Phase != wanted.Phase || shown.Outcome != wanted.Outcome || shown.RunUUID != wanted.RunUUID
}
