package check_test

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/khronicle/khronicle/check"
)

// coded is an error of the API server with any status code.
func coded(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

// The same webhook or policy may answer with any code. What it refuses is asked for again, and what the API server itself
// finds wrong in the spec is not.
func TestRefusedPod(t *testing.T) {
	const (
		webhook = `admission webhook "team.example.com" denied the request: label team is missing`
		policy  = `pods "dns-1" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'team' denied request: label team is missing`
		silent  = `Internal error occurred: failed calling webhook "team.example.com": failed to call webhook: connection refused`
	)
	pods := schema.GroupResource{Resource: "pods"}
	name := field.Invalid(field.NewPath("spec", "containers").Index(0).Child("name"), `admission webhook "x`, "a DNS label")
	tests := []struct {
		name    string
		err     error
		outcome check.Outcome // none for an error that says nothing about the pod
		refused bool
	}{
		{"webhook, 400", coded(400, "", webhook), check.InfraFailed, true},
		{"webhook, 403", coded(403, metav1.StatusReasonForbidden, webhook), check.InfraFailed, true},
		{"webhook, 422", coded(422, metav1.StatusReasonInvalid, webhook), check.InfraFailed, true},
		{"webhook, 500", coded(500, metav1.StatusReasonInternalError, webhook), check.InfraFailed, true},
		{"webhook, 404", coded(404, metav1.StatusReasonNotFound, webhook), check.InfraFailed, true},
		{"webhook that does not answer", coded(500, metav1.StatusReasonInternalError, silent), check.InfraFailed, true},
		{"policy, 422", coded(422, metav1.StatusReasonInvalid, policy), check.InfraFailed, true},
		{"policy, 401", coded(401, metav1.StatusReasonUnauthorized, policy), check.InfraFailed, true},
		{"policy, 413", coded(413, metav1.StatusReasonRequestEntityTooLarge, policy), check.InfraFailed, true},
		{"quota", apierrors.NewForbidden(pods, "dns-1", errors.New("exceeded quota: none")), check.InfraFailed, true},

		{"invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "dns-1", field.ErrorList{name}), check.Failed, false},
		{"bad request", apierrors.NewBadRequest("strict decoding error"), check.Failed, false},
		{"too large", apierrors.NewRequestEntityTooLargeError("limit is 3145728"), check.Failed, false},

		{"no such namespace", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "ns"), check.InfraFailed, false},
		{"pod of another run", apierrors.NewAlreadyExists(pods, "dns-1"), check.InfraFailed, false},

		{"internal error", apierrors.NewInternalError(errors.New("etcd")), "", false},
		{"overloaded", apierrors.NewTooManyRequests("slow down", 1), "", false},
		{"no answer", errors.New("connection refused"), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			failure, ok := check.RefusedPod(tt.err)
			if ok != (tt.outcome != "") || failure.Outcome != tt.outcome || failure.Refused != tt.refused {
				t.Fatalf("failure is %+v (%t), want %q, another attempt: %t", failure, ok, tt.outcome, tt.refused)
			}
			if ok && (failure.Final == tt.refused || failure.Text != "failed to create pod for checker: "+tt.err.Error()) {
				t.Errorf("failure is %+v", failure)
			}
		})
	}
}
